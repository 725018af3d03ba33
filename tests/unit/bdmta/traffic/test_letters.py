"""The same seed gives the same letters; people are named by the rule; sizes follow the table that they are drawn from."""

import email
import email.policy
import itertools
import json
from datetime import UTC, datetime
from random import Random

import pytest

from bdmta.errors import UsageError
from bdmta.naming import propose
from bdmta.traffic.compose import Composer
from bdmta.traffic.hostile import GENERATED, generate, read_folder
from bdmta.traffic.letter import Expect
from bdmta.traffic.mix import KINDS, Mix, read_mix
from bdmta.traffic.population import Account, invent, read_accounts, write_people
from bdmta.traffic.schedule import moments
from bdmta.traffic.sizes import Shape, measure, read_shape

START = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)


def letters(count, seed=1, weights=None, **more):
    accounts = [Account(a.address, "secret", a.name, a.kind, a.agency) for a in invent(30, "binhduong.gov.vn")]
    composer = Composer("run", START, Shape(), 400_000)
    mix = Mix(accounts, weights or read_mix("office"), composer, "run", seed, **more)
    return list(itertools.islice(mix.letters(), count))


def test_the_same_seed_gives_the_same_letters_and_another_does_not():
    assert letters(60) == letters(60)
    assert letters(60)[-1].octets != letters(60, seed=2)[-1].octets


def test_every_kind_is_a_letter_that_others_can_read():
    seen = set()
    for letter in letters(300):
        seen.add(letter.kind)
        assert letter.octets.startswith(f"X-Traffic-Id: run.{letter.number}\r\n".encode())
        if letter.kind == "hostile":
            continue
        assert b"\n" not in letter.octets.replace(b"\r\n", b"")
        assert max(map(len, letter.octets.split(b"\r\n"))) <= 998
        message = email.message_from_bytes(letter.octets, policy=email.policy.SMTP)
        assert not [part.defects for part in message.walk() if part.defects]
        assert message["Subject"]
        assert message.get_body(("plain",)).get_content().strip()
        assert message["From"].addresses[0].addr_spec == letter.sender
        assert (letter.account is not None) == (letter.kind == "internal")
        assert set(letter.recipients) <= {account.address for account in invent(30, "binhduong.gov.vn")}
    assert seen == set(KINDS)


def test_letters_answer_earlier_ones():
    sent = [email.message_from_bytes(letter.octets) for letter in letters(200, weights={"internal": 1})]
    ids = [message["Message-ID"] for message in sent]
    answers = [(n, message["In-Reply-To"]) for n, message in enumerate(sent) if message["In-Reply-To"]]
    assert len(answers) > 40
    assert all(answered in ids[:number] for number, answered in answers)
    assert any(len(message["References"].split()) > 1 for message in sent if message["References"])


def test_officials_write_only_where_somebody_can_log_in():
    with pytest.raises(UsageError, match="passwords"):
        letters(1, weights={"internal": 1}, can_submit=False)


@pytest.mark.parametrize("text", ["nothing", "internal=x", "internal=0", "internal=-1", "internal"])
def test_a_wrong_mix_is_named(text):
    with pytest.raises(UsageError, match="--mix"):
        read_mix(text)


def test_each_generated_kind_comes_up_and_must_be_refused():
    draw = Random(1)
    made = [generate(draw, "a@x.example", "b@y.example") for _ in range(200)]
    assert {one.what for one in made} == set(GENERATED)
    assert {one.expect for one in made} == {Expect.REFUSE}


def test_a_folder_of_letters_with_a_manifest(tmp_path):
    for name in ("a", "b", "c", "d"):
        (tmp_path / f"{name}.eml").write_bytes(b"Subject: x\n\nx\n")
    (tmp_path / "b.eml").write_bytes(b"Subject: x\r\n\r\nno line end")
    told = {"a.eml": {"verdict": "reject"}, "b.eml": {"verdict": "accept", "smtputf8": True},
            "d.eml": {"verdict": "reject", "verdict_if_extended": "accept"}}  # fmt: skip
    rows = [{"file": name, "expected": expected} for name, expected in told.items()]
    (tmp_path / "manifest.json").write_text(json.dumps({"messages": rows}))
    found = read_folder(str(tmp_path))
    assert [one.expect for one in found] == [Expect.REFUSE, Expect.ACCEPT, Expect.ANY, Expect.ANY]
    assert [one.needs_utf8 for one in found] == [False, True, False, False]
    assert found[0].octets == b"Subject: x\r\n\r\nx\r\n"
    assert found[1].octets.endswith(b"no line end\r\n")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"no \*\.eml"):
        read_folder(str(tmp_path / "empty"))


def test_people_are_named_by_the_rule_and_never_twice(tmp_path):
    people = invent(600, "binhduong.gov.vn", seed=5)
    assert len({one.address for one in people}) == 600
    persons = [one for one in people if not one.is_agency]
    plain = [one for one in persons if "." not in one.address.partition("@")[0]]
    assert len(plain) < len(persons)  # namesakes took extensions
    for one in persons:
        local = one.address.partition("@")[0]
        assert local.partition(".")[0] == propose(one.name).local_part
    write_people(people, str(tmp_path / "people.csv"))
    (tmp_path / "words.csv").write_text("address,password\n" + "".join(f"{one.address},x\n" for one in people[:5]))
    read = read_accounts([str(tmp_path / "people.csv"), str(tmp_path / "words.csv")])
    assert [one.name for one in read] == [one.name for one in people]
    assert sum(bool(one.password) for one in read) == 5


def test_sizes_follow_the_table():
    draw, shape = Random(1), Shape()
    sizes = [shape.draw(draw, 10**9) for _ in range(20_000)]
    for octets, share in shape.buckets:
        assert sum(size <= octets for size in sizes) / len(sizes) == pytest.approx(share, abs=0.012)


def test_composed_letters_are_about_as_large_as_drawn():
    sizes = sorted(len(letter.octets) for letter in letters(400, weights={"inbound": 1}))
    shape, draw = Shape(), Random(9)
    drawn = sorted(shape.draw(draw, 400_000) for _ in range(400))
    for share in (0.25, 0.5, 0.75, 0.9):
        assert 0.5 < sizes[int(400 * share)] / drawn[int(400 * share)] < 2


def test_a_measured_shape_is_read_again(tmp_path):
    for number in range(8):
        (tmp_path / "cur").mkdir(exist_ok=True)
        name = b'filename="a.pdf"' if number % 2 else b""
        (tmp_path / "cur" / str(number)).write_bytes(name + b"x" * (1000 << number))
    shape = measure([str(tmp_path)])
    assert shape.buckets[-1] == (131072, 1.0)
    assert shape.files == {"pdf": 4}
    (tmp_path / "shape.json").write_text(json.dumps(shape.as_json()))
    assert read_shape(str(tmp_path / "shape.json")) == shape
    (tmp_path / "shape.json").write_text('{"buckets": [[2, 0.5]], "files": {}, "text_octets": 1, "small_with_file": 0}')
    with pytest.raises(UsageError, match="buckets must rise"):
        read_shape(str(tmp_path / "shape.json"))


@pytest.mark.parametrize("is_working_day", [False, True])
def test_moments_have_the_mean_that_was_asked_for(is_working_day):
    found = list(moments(50, 200, 1, is_working_day=is_working_day))
    assert found == sorted(found)
    assert found == list(moments(50, 200, 1, is_working_day=is_working_day))
    assert len(found) / 200 == pytest.approx(50, rel=0.05)
    night = sum(at < 40 for at in found)
    assert night < len(found) / 20 if is_working_day else night > len(found) / 6
