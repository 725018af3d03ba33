"""Names and media types of what runs when it is opened (Điều 13: .com, .exe, .bat …)."""

from __future__ import annotations

_WINDOWS = """
com exe bat cmd pif scr cpl dll sys drv ocx ax vxd 386 acm efi mui tsp rll xll wll msi msp mst msu msix msixbundle appx
appxbundle appinstaller application appref-ms gadget vbs vbe vb vbscript js jse mjs cjs ws wsf wsc wsh sct hta htc ps1
ps1xml ps2 ps2xml psc1 psc2 psd1 psm1 psdm1 pssc cdxml msh msh1 msh2 mshxml msh1xml msh2xml lnk url website scf
shb shs inf ins isp reg chm hlp cnt hpj its msc job jobs mcf msix diagcab diagcfg diagpkg settingcontent-ms library-ms
search-ms searchconnector-ms theme themepack deskthemepack desktopthemepackfile xnk webpnp printerexport ops osd pcd plg
prf prg bas bgi grp fxp vsmacros vsw vbp xbap xaml-x ade adp mda mdb mde mdt mdw mdz mad maf mag mam maq mar mas
mat mau mav maw accda accdb accde accdr accdt slk iqy oqy rqy dqy odc udl rdp one onepkg onetoc2 ahk au3 a3x
csh ksh pcd crx vsix nupkg cab-x bcf cer-x clb cpx dqy-x exe_ ex_ exe1 com_ mof ps1_ wiz sfx tlb trm xrm-ms
"""
_UNIX = """
sh bash zsh fish dash ash csh tcsh ksh run bin-x elf so ko out axf prx puff appimage snap flatpak flatpakref deb udeb
rpm apk aab xapk apks dex odex oat desktop service pl pm perl py pyc pyo pyw pyz pyzw pyd pyx whl rb rbw php php3 php4
php5 phtml phar jsp jspx asp-x lua luac tcl tk awk-x expect r-x jar war ear jnlp class jad jav-x groovy gvy scala kt-x
kts ebuild action
"""
_APPLE = "app command tool workflow scpt scptd applescript terminal dmg pkg mpkg sparseimage sparsebundle ipa osx mobileconfig-x osax prefpane kext bundle-x qlgenerator webloc-x inetloc fileloc"  # noqa: E501
_IMAGES = "iso img ima vhd vhdx vmdk vdi wim swm esd nrg mdf mds-x toast udf daa uif isz ccd cdr-x bwi cif-x dsk ova ovf qcow qcow2 xva"  # noqa: E501
_FLASH = "swf swc spl-x"

EXTENSIONS = frozenset(
    word for word in f"{_WINDOWS} {_UNIX} {_APPLE} {_IMAGES} {_FLASH}".split() if not word.endswith("-x")
)
"""File name extensions, lower case, without the dot."""

TYPES = frozenset(
    """
application/x-msdownload application/x-msdos-program application/x-msdos-windows application/x-dosexec
application/dos-exe application/exe application/x-exe application/x-winexe application/msdos-windows vms/exe
application/x-com application/com application/bat application/x-bat application/x-msi application/x-ms-installer
application/x-ms-shortcut application/x-ms-application application/x-executable application/x-elf
application/x-sharedlib application/x-pie-executable application/x-object application/x-mach-binary
application/x-mach-o-executable application/vnd.microsoft.portable-executable application/x-sh application/x-csh
application/x-ksh application/x-shellscript text/x-shellscript text/x-sh text/x-script.sh application/x-bash
application/x-perl text/x-perl application/x-python text/x-python text/x-script.python application/x-python-code
application/x-bytecode.python application/x-ruby text/x-ruby application/x-php application/x-httpd-php text/x-php
application/javascript application/x-javascript application/ecmascript text/javascript text/ecmascript text/jscript
text/x-javascript application/x-jscript text/vbscript text/vbs application/x-vbs application/vbs text/x-vbscript
application/hta text/x-hta application/x-hta application/x-powershell text/x-powershell application/java
application/java-vm application/x-java application/x-java-class application/java-archive application/x-java-archive
application/x-java-applet application/x-java-jnlp-file application/vnd.android.package-archive
application/vnd.android.dex application/x-apple-diskimage application/x-iso9660-image application/x-cd-image
application/x-raw-disk-image application/x-vhd application/x-virtualbox-vhd application/x-debian-package
application/vnd.debian.binary-package application/x-deb application/x-rpm application/x-redhat-package-manager
application/vnd.appimage application/vnd.flatpak application/vnd.snap application/x-desktop
application/vnd.ms-htmlhelp application/x-chm application/winhlp application/x-winhelp text/x-ms-regedit
application/x-ms-reg application/vnd.ms-cab-executable application/x-shockwave-flash application/x-ms-wim
application/x-bat-script text/x-msdos-batch application/x-msdos-batch application/x-batch text/x-bat
application/x-ms-wsf application/wsf application/x-setupscript application/x-wine-extension-msp
application/x-silverlight-app
""".split()  # noqa: SIM905
)
"""Media types that say of themselves that they run."""
