# SPDX-License-Identifier: MIT OR Apache-2.0
"""Just enough of ELF to look at relocatable objects of any machine."""

import struct

SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR, SHF_TLS = 1, 2, 4, 0x400
SHT_PROGBITS, SHT_SYMTAB, SHT_RELA, SHT_NOTE, SHT_NOBITS, SHT_REL = 1, 2, 4, 7, 8, 9
SHT_UNWIND = 0x70000001  # of x86 and of ARM
SHN_UNDEF, SHN_ABS, SHN_COMMON, SHN_XINDEX = 0, 0xfff1, 0xfff2, 0xffff
STB_LOCAL, STB_GLOBAL, STB_WEAK = 0, 1, 2
STT_FUNC, STT_SECTION, STT_FILE, STT_TLS, STT_GNU_IFUNC = 2, 3, 4, 6, 10
MACHINES = {3: "x86", 62: "x86", 183: "aarch64", 40: "arm", 243: "riscv",
            22: "s390"}


class NotElf(Exception):
    pass


class Section:
    def __init__(self, index, fields, data):
        (self.name_at, self.type, self.flags, self.address, self.offset,
         self.size, self.link, self.info, self.align, self.entry) = fields
        self.index = index
        self.data = b"" if self.type == SHT_NOBITS else data
        self.name = ""

    def has(self, flag):
        return bool(self.flags & flag)


class Symbol:
    def __init__(self, name, info, other, section, value, size):
        self.name = name
        self.binding, self.type = info >> 4, info & 15
        self.visibility = other & 3
        self.section, self.value, self.size = section, value, size


class Object:
    """One relocatable file: .machine, .sections, .symbols, relocations()."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.bytes = file.read()
        self.path = path
        head = self.bytes[:64]
        if head[:4] != b"\x7fELF" or len(head) < 52:
            raise NotElf(f"{path}: not an ELF object")
        self.wide = head[4] == 2
        self.order = "<" if head[5] == 1 else ">"
        try:
            self._read()
        except (struct.error, IndexError, ValueError, UnicodeDecodeError) as why:
            raise NotElf(f"{path}: damaged ELF object: {why}") from why

    def _unpack(self, layout, offset):
        return struct.unpack_from(self.order + layout, self.bytes, offset)

    def _read(self):
        kind, number = self._unpack("HH", 16)
        if kind != 1:
            raise ValueError("not a relocatable object (.o)")
        self.machine = MACHINES.get(number, f"machine {number}")
        if self.wide:
            table, = self._unpack("Q", 40)
            each, count, names = self._unpack("HHH", 58)
            layout = "IIQQQQIIQQ"
        else:
            table, = self._unpack("I", 32)
            each, count, names = self._unpack("HHH", 46)
            layout = "IIIIIIIIII"
        first = self._unpack(layout, table)
        count = count or first[5]
        names = first[6] if names == SHN_XINDEX else names
        self.sections = []
        for index in range(count):
            fields = self._unpack(layout, table + index * each)
            self.sections.append(Section(
                index, fields, self.bytes[fields[4]:fields[4] + fields[5]]))
        for section in self.sections:
            section.name = self._text(self.sections[names], section.name_at)
        self.symbols = []
        for section in self.sections:
            if section.type == SHT_SYMTAB:
                self.symbols = list(self._symbols(section))

    @staticmethod
    def _text(strings, at):
        end = strings.data.index(b"\0", at)
        return strings.data[at:end].decode("utf-8", "backslashreplace")

    def _symbols(self, section):
        strings = self.sections[section.link]
        for at in range(0, len(section.data), section.entry):
            at += section.offset
            if self.wide:
                name, info, other, where, value, size = self._unpack("IBBHQQ", at)
            else:
                name, value, size, info, other, where = self._unpack("IIIBBH", at)
            yield Symbol(self._text(strings, name), info, other, where, value,
                         size)

    def relocations(self, section):
        """(offset, type, symbol, addend) for what applies to the section."""
        for table in self.sections:
            if table.type not in (SHT_RELA, SHT_REL) or \
                    table.info != section.index:
                continue
            with_addend = table.type == SHT_RELA
            layout = ("QQ" if self.wide else "II") + \
                (("q" if self.wide else "i") if with_addend else "")
            for at in range(0, len(table.data), table.entry):
                fields = self._unpack(layout, table.offset + at)
                shift = 32 if self.wide else 8
                yield (fields[0], fields[1] & ((1 << shift) - 1),
                       self.symbols[fields[1] >> shift],
                       fields[2] if with_addend else 0)
