"""What is written: official style, citizens' style, newsletters, junk. Invented; no letter of a person is in it."""

from __future__ import annotations

from random import Random

OFFICIAL_SUBJECTS = (
    "Giấy mời họp về {topic}", "V/v báo cáo {topic}", "Công văn số {number}/STTTT-VP về {topic}",
    "Thông báo kết luận cuộc họp về {topic}", "Kế hoạch triển khai {topic} năm 2026", "Đề nghị góp ý dự thảo {topic}",
    "Báo cáo {topic} tháng {month}", "Nhắc báo cáo {topic}", "Tài liệu họp {topic}", "Xin ý kiến chỉ đạo về {topic}",
)  # fmt: skip
TOPICS = (
    "tình hình sử dụng thư điện tử công vụ", "cải cách thủ tục hành chính", "dịch vụ công trực tuyến",
    "quyết toán ngân sách quý ba", "an toàn thông tin mạng", "danh bạ cán bộ, công chức", "phòng chống dịch bệnh",
    "đào tạo, bồi dưỡng công chức", "cấp giấy phép xây dựng", "kiểm kê tài sản công", "chuyển đổi số cấp xã",
    "tiếp công dân định kỳ", "tuyển sinh lớp 10", "quy hoạch sử dụng đất", "hỗ trợ hộ nghèo",
)  # fmt: skip
_OFFICIAL = (
    "Thực hiện chỉ đạo của Ủy ban nhân dân tỉnh về {topic}, đề nghị quý cơ quan rà soát, tổng hợp số liệu và gửi "
    "báo cáo bằng văn bản trước ngày {day} tháng {month}.",
    "Căn cứ Quyết định số 82/2009/QĐ-UBND, hệ thống thư điện tử được dùng để trao đổi văn bản trong công việc; "
    "các đơn vị mở hộp thư ít nhất hai lần mỗi ngày làm việc.",
    "Cuộc họp bắt đầu lúc 8 giờ 30 phút tại phòng họp số {day}; thành phần gồm lãnh đạo và chuyên viên phụ trách.",
    "Phòng chuyên môn đã đối chiếu danh sách, còn {number} trường hợp cần bổ sung hồ sơ theo mẫu đính kèm.",
    "Đề nghị các đồng chí nghiên cứu trước tài liệu và chuẩn bị ý kiến tham gia.",
    "Mọi vướng mắc xin liên hệ Văn phòng để được hướng dẫn kịp thời.",
    "Kinh phí thực hiện được bố trí trong dự toán năm, không phát sinh thêm ngoài kế hoạch đã duyệt.",
    "Sở sẽ kiểm tra việc thực hiện tại một số địa phương trong tháng {month} và thông báo kết quả sau.",
)
_CITIZEN = (
    "Tôi tên là {name}, hiện ngụ tại khu phố {day}, xin hỏi về thủ tục liên quan đến {topic}.",
    "Hồ sơ của tôi nộp ngày {day} tháng {month} đến nay chưa nhận được kết quả, mong quý cơ quan xem giúp.",
    "Xin cho biết cần chuẩn bị những giấy tờ gì, nộp ở đâu và lệ phí bao nhiêu?",
    "Tôi đã gọi điện nhiều lần nhưng máy bận, nên viết thư này.",
    "Rất mong sớm nhận được trả lời, tôi xin chân thành cảm ơn.",
    "Con tôi năm nay vào lớp 10, gia đình mới chuyển hộ khẩu về phường, không rõ nộp hồ sơ theo tuyến nào.",
)
_BULK = (
    "Bản tin tuần số {number}: tổng hợp tin tức về {topic}.",
    "Hội thảo về {topic} sẽ diễn ra ngày {day} tháng {month}; đăng ký tham dự trước ngày {day}.",
    "Ấn phẩm mới về {topic} đã có trên trang thông tin điện tử.",
    "Quý vị nhận thư này vì đã đăng ký nhận bản tin; bấm vào liên kết cuối thư để ngừng nhận.",
)
_JUNK = (
    "Cơ hội vay vốn lãi suất 0 %, giải ngân trong 15 phút, không cần thế chấp!!!",
    "Chúc mừng, số điện thoại của bạn đã trúng thưởng {number} triệu đồng, nhận ngay hôm nay.",
    "Giảm giá 70 % toàn bộ gói quảng cáo, chỉ trong ngày {day} tháng {month}.",
    "You have been selected for a limited offer, reply now to claim your reward number {number}.",
)
_JUNK_SUBJECTS = ("Vay nhanh lai suat 0", "CHÚC MỪNG bạn đã trúng thưởng", "Khuyến mãi {number} %", "Re: your invoice")
_CITIZEN_SUBJECTS = ("Hỏi về {topic}", "Kính nhờ giải đáp về {topic}", "Phản ánh về {topic}", "Hồ sơ {number}")
_SALUTATION = {
    "internal": "Kính gửi {to},", "citizens": "Kính gửi {to},", "inbound": "Kính gửi {to},",
    "bulk": "Kính chào quý độc giả,", "junk": "Bạn thân mến,",
}  # fmt: skip
_SENTENCES = {"internal": _OFFICIAL, "inbound": _OFFICIAL, "citizens": _CITIZEN, "bulk": _BULK, "junk": _JUNK}
_SUBJECTS = {
    "internal": OFFICIAL_SUBJECTS, "inbound": OFFICIAL_SUBJECTS, "citizens": _CITIZEN_SUBJECTS,
    "bulk": ("Bản tin tuần: {topic}", "[Bản tin] {topic}"), "junk": _JUNK_SUBJECTS,
}  # fmt: skip


def subject(kind: str, draw: Random) -> str:
    """A subject in the style of `kind`."""
    return draw.choice(_SUBJECTS.get(kind, OFFICIAL_SUBJECTS)).format(**_words(draw))


def body(kind: str, draw: Random, octets: int, *, to: str, name: str, quoted: str = "") -> str:
    """About `octets` of text in UTF-8: salutation, sentences, greeting, and what is answered behind `>`."""
    head = _SALUTATION.get(kind, _SALUTATION["internal"]).format(to=to)
    tail = f"Trân trọng,\n{name}\n"
    if quoted:
        tail += "\n" + "".join(f"> {line}\n" for line in quoted.splitlines()[:12])
    sentences = _SENTENCES.get(kind, _OFFICIAL)
    lines = [head, ""]
    wanted = octets - len(head.encode()) - len(tail.encode())
    while wanted > 0:
        line = draw.choice(sentences).format(**_words(draw, name))
        lines.append(line)
        wanted -= len(line.encode()) + 1
    return "\n".join([*lines, "", tail])


def _words(draw: Random, name: str = "") -> dict[str, object]:
    return {
        "topic": draw.choice(TOPICS), "number": draw.randrange(1, 2000), "day": draw.randrange(1, 29),
        "month": draw.randrange(1, 13), "name": name,
    }  # fmt: skip
