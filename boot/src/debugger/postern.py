# What gdb knows about Postern. `cargo run -- run --gdb` writes this file with the lines above it, for one run.
#
# All programs are linked at the same address, each in an address space of its own. So at every stop the symbols of the
# program whose space is active are loaded, beside the kernel's, which is in every space.
import gdb

# Where root tells a program about itself (libsys/src/proto/program.rs), and what only root has (microkernel/abi/src/root.rs).
INFO = 0x1000_0000_0000
ARCHIVE = 0x1100_0000_0000
# Where programs are linked (libsys/user.ld), and where the kernel begins (microkernel/src/mem.rs).
TEXT = 0x40_0000
KERNEL_HALF = 1 << 63
# Most frames of a program's backtrace.
FRAMES = 32


def memory(address, length):
    """Bytes of the active space, or None."""
    try:
        return bytes(gdb.selected_inferior().read_memory(address, length))
    except gdb.MemoryError:
        return None


def word(address):
    data = memory(address, 8)
    return None if data is None else int.from_bytes(data, "little")


def varint(data, at):
    """A number as postcard writes it, and where the next begins."""
    value, shift = 0, 0
    while data[at] & 0x80:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return value | data[at] << shift, at + 1


def string(data, at):
    """A text as postcard writes it, and where the next value begins."""
    length, at = varint(data, at)
    return data[at : at + length].decode(errors="replace"), at + length


def active():
    """Name of the program whose space is active, or of the file of one that another has started; None: nobody's."""
    if memory(ARCHIVE, 1) is not None:
        return "root"
    page = memory(INFO, 128)
    if page is None:
        return None
    _, at = varint(page, 0)
    name, at = string(page, at)
    return name if name in PROGRAMS else string(page, at)[0]


class Symbols:
    """Those of at most one program are loaded."""

    loaded = None

    @classmethod
    def use(cls, name):
        file = FILES.get(name)
        if file == cls.loaded:
            return False
        if cls.loaded is not None:
            gdb.execute(f"remove-symbol-file -a {TEXT:#x}", to_string=True)
        cls.loaded = file
        if file is not None:
            gdb.execute(f'add-symbol-file "{file}"', to_string=True)
        return True


def stopped(event):
    name = active()
    print(f"[{name or 'nobody'}]")
    # gdb has shown the place already, but a program's without its symbols.
    if Symbols.use(name) and gdb.selected_frame().pc() < KERNEL_HALF:
        gdb.execute("frame")


gdb.events.stop.connect(stopped)


class InProgram(gdb.Breakpoint):
    """A breakpoint that only one program feels: others have other code at its address."""

    def __init__(self, address, name):
        super().__init__(f"*{address:#x}")
        self.name = name

    def stop(self):
        return active() == self.name


class BreakIn(gdb.Command):
    """break-in PROGRAM LOCATION: stops where that program, and no other, comes by."""

    def __init__(self):
        super().__init__("break-in", gdb.COMMAND_BREAKPOINTS)

    def invoke(self, arguments, from_tty):
        name, _, location = arguments.partition(" ")
        if name not in FILES:
            raise gdb.GdbError(f"no program {name!r}; there are: {', '.join(FILES)}")
        if not location:
            raise gdb.GdbError("break-in PROGRAM LOCATION")
        Symbols.use(name)
        try:
            places = gdb.decode_line(location)[1] or []
        except gdb.error as error:
            raise gdb.GdbError(f"{name}: {error}")
        places = [place for place in places if place.pc < KERNEL_HALF]
        if not places:
            raise gdb.GdbError(f"{name}: that is a place in the kernel")
        for place in places:
            InProgram(place.pc, name)


BreakIn()


def cell(value):
    """What is in a Cell."""
    while value.type.strip_typedefs().code == gdb.TYPE_CODE_STRUCT and "value" in [
        field.name for field in value.type.fields()
    ]:
        value = value["value"]
    return value


def pointer(value):
    """The address in a Ref, or in a Cell or Option of one."""
    value = cell(value)
    return int.from_bytes(bytes(memory(int(value.address), 8)), "little")


def at(address, kind):
    return gdb.Value(address).cast(gdb.lookup_type(kind).pointer()).dereference()


def number(value):
    """A plain number in a Cell; Rust's bytes would be shown as characters."""
    return int(cell(value))


def owner(badge):
    """Whose badge that is: root counts its programs from 1 on, and one that is started anew gets a later number."""
    identity = badge >> 32
    names = list(PROGRAMS)
    if 1 <= identity <= len(names):
        return names[identity - 1]
    return f"program {identity}" if identity else "no program"


def named(thread):
    """A thread at an address, as one prints it."""
    if thread == int(gdb.parse_and_eval("&microkernel::thread::block::POSTERN_NOBODY")):
        return "nobody"
    if thread == int(gdb.parse_and_eval("&microkernel::thread::block::BUSY")):
        return "nobody alone"
    return f"{thread:#x} ({owner(number(at(thread, 'microkernel::thread::Thread')['fault_slot']['data']))})"


class Thread:
    """microkernel/src/thread.rs"""

    def __init__(self, value):
        self.value = value

    def state(self):
        # `wait` packs state and partner (the constants TAG and below, at the end of thread.rs).
        # The running thread's is stale.
        if int(self.value.address) == running():
            return "running"
        wait = number(self.value["wait"])
        partner = wait & ~31
        return {
            0: f"receiving from {partner:#x}",
            1: f"sending to {partner:#x}",
            2: f"awaiting a reply, parked in {partner:#x}",
            3: "ready",
            4: "inactive",
        }.get(wait & 31) or f"awaiting a reply of {named(wait)}"

    def to_string(self):
        priority, base = number(self.value["priority"]), number(self.value["base"])
        fault = self.value["fault_slot"]
        return (
            f"thread of {owner(number(fault['data']))}: {self.state()}, priority {priority} (base {base}), "
            f"owes a reply to {named(pointer(self.value['fast_caller']))}, "
            f"{number(self.value['table_slots'])} slots at {number(self.value['table']):#x}"
        )


class Endpoint:
    """microkernel/src/endpoint.rs"""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        queues = [
            f"{name} {'none' if pointer(self.value[name]['head']) == 0 else named_first(self.value[name])}"
            for name in ("senders", "receivers")
        ]
        return f"endpoint: alone receives {named(pointer(self.value['fast']))}, {', '.join(queues)}"


def named_first(queue):
    return "first " + named(pointer(queue["head"]))


class Slot:
    """microkernel/src/slot.rs"""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        head = cell(self.value["head"])
        kind = str(head["kind"]).rpartition("::")[2]
        if kind == "Empty":
            return "empty slot"
        rights, data = int(head["rights"]), number(self.value["data"])
        badge = f", badge {data:#x}" if kind == "Endpoint" else f", data {data:#x}"
        return f"capability: {kind} {number(self.value['object']):#x}, rights {rights:#x}{badge}"


def printer(value):
    kinds = {
        "microkernel::thread::Thread": Thread,
        "microkernel::endpoint::Endpoint": Endpoint,
        "microkernel::slot::Slot": Slot,
    }
    kind = kinds.get(value.type.strip_typedefs().name)
    return kind and kind(value)


gdb.pretty_printers.append(printer)


def running():
    """Address of the thread that runs: TSS.RSP0, which lies 4 bytes into the TSS (SDM 3A figure 8-11)."""
    return word(int(gdb.parse_and_eval("&microkernel::arch::x86_64::gdt::POSTERN_TSS")) + 4)


class Current(gdb.Function):
    """$current(): the thread that runs."""

    def __init__(self):
        super().__init__("current")

    def invoke(self):
        return at(running(), "microkernel::thread::Thread")


Current()


class UserBacktrace(gdb.Command):
    """user-backtrace: in the kernel, where the program is that it works for."""

    def __init__(self):
        super().__init__("user-backtrace", gdb.COMMAND_STACK)

    def invoke(self, arguments, from_tty):
        # The saved registers end where the thread begins (microkernel/src/arch/x86_64/frame.rs).
        frame = running() - 22 * 8
        rbp, rip, rsp = (word(frame + field * 8) for field in (10, 17, 20))
        if rip is None or rip >= KERNEL_HALF:
            raise gdb.GdbError("nobody runs")
        # A system call's stub has its caller's address on the stack, or is part of its caller.
        print(f"program {active()}, stack {rsp:#x}")
        for depth in range(FRAMES):
            # A return address may be the first of the next line.
            inside = rip if depth == 0 else rip - 1
            place, block, functions = gdb.find_pc_line(inside), gdb.block_for_pc(inside), []
            while block is not None and not block.is_static:
                if block.function is not None:
                    functions.append(block.function.name)
                block = block.superblock
            where = f"{place.symtab.filename}:{place.line}" if place.symtab else "?"
            print(f"#{depth} {rip:#x} in {', inlined in '.join(functions) or '?'} at {where}")
            next_rbp, rip = word(rbp), word(rbp + 8)
            if not rip or next_rbp is None:
                break
            rbp = next_rbp


UserBacktrace()

gdb.execute("set confirm off")
gdb.execute("set pagination off")
gdb.execute("set architecture i386:x86-64")
# Programs are built as if the workspace were there, so that no path of a machine is in them.
gdb.execute(f'set substitute-path /postern "{WORKSPACE}"')
gdb.execute(f'file "{KERNEL}"', to_string=True)
gdb.execute(f"target remote {SOCKET}")
