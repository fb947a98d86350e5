#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""make check-mutations: breaks the code in one place after another, and shows
which test sees it.  tests/mutations/ has the places; HACKING says how to add one.

A test is a program of tests/, or a shell test with the cases of it that are to be
run: harness/judge/judge.sh=lazy-first,lazy-third."""

import argparse
import difflib
import fnmatch
import glob
import hashlib
import os
import queue
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time

LISTS = os.path.join("tests", "mutations", "*.list")
NOT_OK = re.compile(r"not ok \d+ - (?:tests/)?(.*)")
FAIL = re.compile(r"FAIL: (.*)")
VARIANTS = re.compile(r"# variants:([^;]*)")
TOKEN = re.compile(r"\w+|[^\w\s]")
SKIPPED = 77

# What shell tests want to have been built: the programs that are judged with shared
# libraries only, so that a build for these has shared ones.
CHEATS = [f"tests/harness/candidate/cheats/{name}.la"
          for name in ("cheats", "empty", "slowed")]
SHELL_NEEDS = {"harness/judge/judge.sh": ["run_experiment", *CHEATS],
               "tool/bench.sh": ["pqkern"], "tool/tool.sh": ["pqkern"],
               "trial/pieces.sh": ["config.h"], "trial/counted.sh": ["config.h"]}


class Wrong(Exception):
    """The list, the tree or the build is not as it must be."""


# ---------------------------------------------------------------------------
# The list


class Mutation:
    def __init__(self, place, name, programs):
        self.place, self.name, self.programs = place, name, programs
        self.file, self.needs = None, []
        self.old, self.new = [], []

    def pattern(self):
        """The old text, however its lines are broken and indented."""
        tokens = TOKEN.findall(" ".join(self.old))
        text = ""
        for before, after in zip([""] + tokens, tokens):
            if before:
                words = before[-1:].isalnum() or before[-1:] == "_"
                words &= after[:1].isalnum() or after[:1] == "_"
                text += r"\s+" if words else r"\s*"
            text += re.escape(after)
        start = r"(?<!\w)" if tokens[0][0].isalnum() or tokens[0][0] == "_" else ""
        last = tokens[-1][-1]
        return re.compile(start + text +
                          (r"(?!\w)" if last.isalnum() or last == "_" else ""))

    def apply(self, text):
        found = list(self.pattern().finditer(text))
        if len(found) != 1:
            raise Wrong(f"{self.place}: \"{self.name}\" does not apply: its old "
                        f"text is in {self.file} {len(found)} times, not once "
                        "(--where looks for it elsewhere)")
        match = found[0]
        return text[:match.start()] + "\n".join(self.new) + text[match.end():]


def parse(path, top):
    """The entries of a list; a blank line ends each."""
    short = os.path.relpath(path, top)
    mutations, programs, entry = [], [], None
    with open(path, encoding="utf-8") as file:
        lines = file.read().split("\n")
    for number, line in enumerate(lines, 1):
        place = f"{short}:{number}"
        if line.startswith("#"):
            continue
        if not line.strip():
            entry = None
        elif line.startswith("["):
            pass
        elif line.startswith("run: ") and not entry:
            more = lines[number - 2].startswith("run: ")
            programs = (programs if more else []) + line[5:].split()
        elif not entry:
            entry = Mutation(place, line.strip(), programs)
            mutations.append(entry)
        elif line.startswith("run: "):
            more = lines[number - 2].startswith("run: ")
            entry.programs = (entry.programs if more else []) + line[5:].split()
        elif line.startswith("in "):
            where, _, needs = line[3:].partition(" for ")
            entry.file, entry.needs = where.strip(), needs.split()
        elif line[:2] in ("- ", "-"):
            entry.old.append(line[2:].strip())
        elif line[:2] in ("+ ", "+"):
            entry.new.append(line[2:])
        else:
            raise Wrong(f"{place}: neither \"in FILE\" nor \"run: TESTS\" nor "
                        "\"- old\" nor \"+ new\"")
    for each in mutations:
        if not (each.file and "".join(each.old).strip() and each.programs):
            raise Wrong(f"{each.place}: \"{each.name}\" lacks a file, an old text "
                        "or a section that says what to run")
    return mutations


def check_names(mutations):
    places = {}
    for each in mutations:
        other = places.setdefault(each.name, each.place)
        if other != each.place:
            raise Wrong(f"{each.place}: \"{each.name}\" is in {other}, too")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


# ---------------------------------------------------------------------------
# --where: entries whose text has moved


def sources(top):
    return [name for name in tree_files(top)
            if name.startswith(("src/", "tests/", "scripts/")) and
            name.endswith((".c", ".h", ".py"))]


def nearest_line(wanted, texts):
    best = (0.0, "nowhere")
    for name, text in texts.items():
        for number, line in enumerate(text.split("\n"), 1):
            ratio = difflib.SequenceMatcher(None, wanted, line.strip()).quick_ratio()
            if ratio > best[0]:
                best = (ratio, f"{name}:{number}: {line.strip()}")
    return best[1]


def find_moved(mutations, lists, top, rewrite):
    """Where the text of those is that do not apply; returns how many are lost."""
    texts = {name: read(os.path.join(top, name)) for name in sources(top)}
    lost = 0
    for each in mutations:
        if len(each.pattern().findall(texts.get(each.file, ""))) == 1:
            continue
        homes = [name for name, text in texts.items()
                 if len(each.pattern().findall(text)) == 1]
        print(f"{each.place}: {each.name}")
        if len(homes) != 1:
            lost += 1
            print("    is in " + (", ".join(homes) or "no file") + "; nearest: " +
                  nearest_line(each.old[0], texts))
            continue
        print(f"    {each.file} -> {homes[0]}")
        if rewrite:
            move_entry(each, homes[0], lists)
    return lost


def move_entry(mutation, home, lists):
    for path in lists:
        head, mark, rest = read(path).partition(f"\n{mutation.name}\n")
        if mark:
            rest = rest.replace(f"in {mutation.file}", f"in {home}", 1)
            with open(path, "w", encoding="utf-8") as file:
                file.write(head + mark + rest)


# ---------------------------------------------------------------------------
# Commands, of which nothing stays behind


LEADERS = set()  # of the sessions that run


def end_session(leader):
    """Check puts every test into a process group of its own."""
    LEADERS.discard(leader)
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
            if int(fields[3]) == leader:
                os.kill(int(path.split("/")[2]), signal.SIGKILL)
        except (OSError, ValueError, IndexError):
            pass


class Ended:
    def __init__(self, code, late, faults, variants, seconds, last):
        self.code, self.late, self.faults = code, late, faults
        self.variants, self.seconds, self.last = variants, seconds, last

    def failed(self):
        return self.code != 0 or self.late or bool(self.faults)

    def reason(self):
        if self.faults:
            return self.faults[0]
        if self.late:
            return f"no end after {self.seconds:.0f} s"
        if self.code is not None and self.code < 0:
            return f"signal {-self.code}: {self.last}"
        return f"exit {self.code}: {self.last}"


def run(command, cwd, env, seconds, log, to_the_end=True):
    """Runs a test program; without `to_the_end` up to the first that fails."""
    began = time.monotonic()
    faults, variants, late = [], None, []
    last = ""
    with open(log, "w", encoding="utf-8") as copy:
        child = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True, encoding="utf-8", errors="replace")
        LEADERS.add(child.pid)

        def give_up():
            late.append(True)
            end_session(child.pid)
        timer = threading.Timer(seconds, give_up)
        timer.start()
        try:
            for line in child.stdout:
                copy.write(line)
                last = line.strip() or last
                match = VARIANTS.match(line)
                if match:
                    variants = match.group(1).split()
                match = NOT_OK.match(line) or FAIL.match(line)
                if match:
                    faults.append(match.group(1).strip())
                    if not to_the_end:
                        break
        finally:
            timer.cancel()
            if faults and not to_the_end:
                end_session(child.pid)
            child.stdout.close()
            child.wait()
            end_session(child.pid)
    return Ended(child.returncode, bool(late), faults, variants,
                 time.monotonic() - began, last[:200])


# ---------------------------------------------------------------------------
# The work folder: a copy of the tree, and a build of it


def is_shell(test):
    return test.partition("=")[0].endswith(".sh")


def targets_of(test):
    """What make has to build for it."""
    if is_shell(test):
        return SHELL_NEEDS.get(test.partition("=")[0], ["all"])
    return ["tests/" + test]


def log_name(test):
    return re.sub(r"[^\w.-]", "-", test)[:100] + ".log"


def tree_files(top):
    if os.path.exists(os.path.join(top, ".git")):
        listed = subprocess.run(
            ["git", "-C", top, "ls-files", "-z", "--cached", "--others",
             "--exclude-standard"], check=True, stdout=subprocess.PIPE)
        names = listed.stdout.decode().split("\0")
        return [n for n in names if n and os.path.isfile(os.path.join(top, n))]
    found = []
    for folder, below, names in os.walk(top):
        below[:] = [n for n in below if not n.startswith((".libs", ".deps")) and
                    n != "check-mutations" and "config.status" not in
                    os.listdir(os.path.join(folder, n))]
        found += [os.path.relpath(os.path.join(folder, n), top) for n in names
                  if not n.endswith((".o", ".lo", ".la", ".log"))]
    return [n for n in found if n not in ("config.status", "config.h", "Makefile",
                                          "libtool")]


def update_tree(top, to):
    """Copies what differs, so that a folder that was kept is built quickly."""
    for name in tree_files(top):
        old, new = os.path.join(top, name), os.path.join(to, name)
        os.makedirs(os.path.dirname(new), exist_ok=True)
        with open(old, "rb") as file:
            content = file.read()
        try:
            with open(new, "rb") as file:
                if file.read() == content:
                    continue
        except FileNotFoundError:
            pass
        with open(new, "wb") as file:
            file.write(content)
        shutil.copymode(old, new)
        if not os.path.exists(os.path.join(top, ".git")):
            shutil.copystat(old, new)


class Work:
    """One copy of the tree with its build."""

    def __init__(self, home, options):
        self.home, self.options = home, options
        self.tree = os.path.join(home, "tree")
        self.build = os.path.join(home, "build")
        self.usual = {}  # test: the seconds that it takes
        self.objects = None
        self.environment = {}  # of shell tests

    def _command(self, what, command, cwd):
        log = os.path.join(self.home, what + ".log")
        with open(log, "w", encoding="utf-8") as file:
            child = subprocess.Popen(
                command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=file,
                stderr=subprocess.STDOUT, start_new_session=True, env=dict(
                    os.environ, GIT_CEILING_DIRECTORIES=self.home,
                    MAKEFLAGS="", MFLAGS=""))
            LEADERS.add(child.pid)
            child.wait()
            LEADERS.discard(child.pid)
        return child.returncode, log

    def _must(self, what, command, cwd):
        code, log = self._command(what, command, cwd)
        if code != 0:
            raise Wrong(f"{what} failed: {log}")

    def given_arguments(self):
        given = subprocess.run(
            [os.path.join(self.options.build_dir, "config.status"), "--config"],
            stdout=subprocess.PIPE, check=True).stdout.decode()
        return shlex.split(given)

    def configure_arguments(self, shared):
        """Those of the build folder, but for what costs time."""
        arguments = self.given_arguments()
        if not any(each.startswith("CFLAGS=") for each in arguments):
            arguments.append("CFLAGS=-O2")
        return arguments + (["--enable-shared", "--disable-static"] if shared else
                            ["--disable-shared", "--enable-static"])

    def configure(self, shared):
        """Anew, if what was kept has other libraries."""
        arguments = shlex.join(self.configure_arguments(shared))
        kept = os.path.join(self.home, "configured")
        if not os.path.exists(kept) or read(kept) != arguments:
            shutil.rmtree(self.build, ignore_errors=True)
            os.makedirs(self.build)
            self._must("configure", [os.path.join("..", "tree", "configure"),
                                     *shlex.split(arguments)], self.build)
            self._write(kept, arguments)

    def prepare(self, programs):
        """Builds; returns those of the programs that there are."""
        # An emulator has few of the cases, and takes an hour for each.
        if self.options.emulator or "--disable-shared" in self.given_arguments():
            programs = [each for each in programs if not is_shell(each)]
        update_tree(self.options.top, self.tree)
        if not os.path.exists(os.path.join(self.tree, "configure")):
            self._must("bootstrap", ["./bootstrap"], self.tree)
        self.configure(any(is_shell(each) for each in programs))
        # Of PQK_CHECK_PROGRAMS, which make passes: without Check there are few.
        built = self.options.programs
        absent = [each for each in programs
                  if built and not is_shell(each) and
                  "tests/" + each not in built]
        if absent:
            print("not in this build: " + ", ".join(absent), flush=True)
        programs = [each for each in programs if each not in absent]
        code, log = self.make(programs)
        if code != 0:
            raise Wrong(f"the unmutated tree does not build: {log}")
        self.objects = self.code()
        if any(is_shell(each) for each in programs):
            self.environment = self._environment()
        return programs

    def _environment(self):
        """What `make check` gives to a shell test."""
        self._write(os.path.join(self.build, "environment.sh"), "env -0 >environment\n")
        self._must("environment", [self.options.make, "environment.log"], self.build)
        pairs = read(os.path.join(self.build, "environment")).split("\0")
        return dict(each.split("=", 1) for each in pairs if each)

    def make(self, programs):
        targets = dict.fromkeys(target for each in programs
                                for target in targets_of(each))
        return self._command("make", [
            self.options.make, f"-j{self.options.make_jobs}", *targets], self.build)

    def code(self):
        """A hash of all objects that the programs are made of."""
        total = hashlib.sha256()
        paths = [os.path.join(folder, name) for folder, _, names in
                 os.walk(os.path.join(self.build, "src")) for name in names
                 if name.endswith(".o")]
        for path in sorted(paths):
            with open(path, "rb") as file:
                total.update(path[len(self.home):].encode() + file.read())
        return total.hexdigest()

    def _test_shell(self, test, seconds, to_the_end):
        script, _, cases = test.partition("=")
        env = dict(self.environment, PQK_CASES=cases.replace(",", " "))
        return run(["sh", os.path.join(self.tree, "tests", script)], self.build, env,
                   seconds, os.path.join(self.home, log_name(test)), to_the_end)

    def test(self, program, seconds, to_the_end):
        if is_shell(program):
            return self._test_shell(program, seconds, to_the_end)
        env = {name: os.environ[name] for name in
               ("PATH", "HOME", "TMPDIR", "PQK_TEST_SCALE") if name in os.environ}
        env.update(abs_top_srcdir=self.tree, abs_top_builddir=self.build,
                   srcdir=self.tree, top_srcdir=self.tree, LC_ALL="C.UTF-8",
                   CK_TAP_LOG_FILE_NAME="-", CK_VERBOSITY="silent",
                   CK_TIMEOUT_MULTIPLIER="20",
                   XDG_CACHE_HOME=os.path.join(self.home, "cache"))
        emulator = shlex.split(self.options.emulator)
        if emulator:
            env.setdefault("PQK_TEST_SCALE", "0.1")
        return run([*emulator, os.path.join("tests", program)], self.build, env,
                   seconds, os.path.join(self.home, log_name(program)), to_the_end)

    def test_unmutated(self, programs):
        variants = set()
        for program in programs:
            ended = self.test(program, 3600.0, True)
            if is_shell(program) and ended.code == SKIPPED:
                print(f"tests/{program} skips itself: {ended.last}", flush=True)
                continue
            if ended.failed():
                raise Wrong(f"tests/{program} fails without a mutation: "
                            f"{ended.reason()}")
            self.usual[program] = ended.seconds
            variants |= set(ended.variants or ())
        return variants

    def copy(self, home):
        """The same, built, for another job."""
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(self.home, home, symlinks=True)
        other = Work(home, self.options)
        other.usual, other.objects = self.usual, other.code()
        other.environment = {name: value.replace(self.home, home)
                             for name, value in self.environment.items()}
        return other

    def attempt(self, mutation, programs):
        """What the mutation does: (word, text)."""
        path = os.path.join(self.tree, mutation.file)
        whole = read(path)
        try:
            self._write(path, mutation.apply(whole))
            found = []
            # One after another: most are caught before all had to be linked.
            for program in sorted(programs, key=self.usual.get):
                code, log = self.make([program])
                if code != 0:
                    kept = os.path.join(self.home, "compile-error.log")
                    shutil.copyfile(log, kept)
                    return "wrong", f"does not compile ({kept})"
                # judge.sh tries what does not end as it had to for longer, and twice.
                usual = self.usual[program]
                ended = self.test(program,
                                  12 * usual + 90 if ".sh" in program
                                  else 4 * usual + 15, self.options.every)
                if ended.failed():
                    found.append(f"{program}: {ended.reason()}")
                    if not self.options.every:
                        break
            if found:
                return "caught", "; ".join(found)
            if self.code() == self.objects and path.endswith((".c", ".h")):
                return "wrong", "compiles to the same code"
            return "SURVIVED", ""
        finally:
            self._write(path, whole)

    @staticmethod
    def _write(path, text):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


# ---------------------------------------------------------------------------
# All of them


class Count(dict):
    def __init__(self):
        super().__init__(caught=0, SURVIVED=0, skipped=0, wrong=0)
        self.lock = threading.Lock()
        self.survivors = []

    def note(self, mutation, word, text):
        with self.lock:
            self[word] += 1
            if word == "SURVIVED":
                self.survivors.append(mutation.name)
            print(f"{word}: {mutation.name}" + (f"\n    {text}" if text else ""),
                  flush=True)


def attempt_all(works, mutations, variants, count, options):
    todo = queue.Queue()
    for each in mutations:
        todo.put(each)

    def take(work):
        while True:
            try:
                mutation = todo.get_nowait()
            except queue.Empty:
                return
            programs = [each for each in options.tests or mutation.programs
                        if each in work.usual]
            if mutation.needs and not variants & set(mutation.needs):
                count.note(mutation, "skipped", "no " + " nor ".join(
                    mutation.needs) + " here")
                continue
            if not programs:
                count.note(mutation, "skipped", "none of its programs is in this "
                           "build")
                continue
            try:
                count.note(mutation, *work.attempt(mutation, programs))
            except (Wrong, OSError) as error:
                count.note(mutation, "wrong", str(error))
    threads = [threading.Thread(target=take, args=(work,), daemon=True)
               for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__.replace("\n", " "), epilog="Exit code: 0 if all were "
        "caught, 1 if one survived, 2 if the list does not apply.")
    parser.add_argument("--list", action="store_true", help="name them, no more")
    parser.add_argument("--only", metavar="PATTERN", action="append", default=[],
                        help="those whose name, file or list contains or matches "
                        "it; may be repeated")
    parser.add_argument("--tests", metavar="TESTS", type=str.split,
                        help="run these instead of what the list says")
    parser.add_argument("--every", action="store_true",
                        help="run all programs to their end, and name all that fail")
    parser.add_argument("--jobs", type=int, default=1, metavar="N",
                        help="so many at a time, each in a copy of its own")
    parser.add_argument("--make-jobs", type=int, default=2, metavar="N",
                        help="make -jN (2)")
    parser.add_argument("--keep", action="store_true",
                        help="leave the work folder, which makes the next time "
                        "quicker")
    parser.add_argument("--where", action="store_true",
                        help="find the text of those that no longer apply")
    parser.add_argument("--write", action="store_true",
                        help="with --where: correct the list")
    parser.add_argument("--build-dir", default=os.getcwd(),
                        help="a configured build folder (this one)")
    options = parser.parse_args()
    options.build_dir = os.path.abspath(options.build_dir)
    options.top = os.path.dirname(os.path.dirname(os.path.dirname(
        os.path.abspath(__file__))))
    options.make = os.environ.get("MAKE", "make")
    options.programs = os.environ.get("PQK_CHECK_PROGRAMS", "").split()
    options.emulator = os.environ.get("EMULATOR", "")
    return options


def chosen(mutation, patterns):
    return not patterns or any(
        pattern in text or fnmatch.fnmatchcase(text, pattern)
        for pattern in patterns
        for text in (mutation.name, mutation.file, mutation.place))


def check_texts(mutations, top):
    """All that do not apply, at once and before anything is built."""
    faults = []
    for each in mutations:
        path = os.path.join(top, each.file)
        try:
            each.apply(read(path))
        except (Wrong, OSError) as error:
            faults.append(f"{error}" if isinstance(error, Wrong) else
                          f"{each.place}: \"{each.name}\": {error}")
    if faults:
        raise Wrong("\n".join(faults))


def attempt_list(mutations, options):
    home = os.path.join(options.build_dir, "check-mutations")
    programs = list(dict.fromkeys(
        program for each in mutations
        for program in (options.tests or each.programs)))
    began = time.monotonic()
    count = Count()
    first = Work(os.path.join(home, "1"), options)
    programs = first.prepare(programs)
    variants = first.test_unmutated(programs)
    print("variants: " + " ".join(sorted(variants)) + "; without a mutation " +
          ", ".join(f"{name} {first.usual[name]:.1f} s"
                    for name in sorted(first.usual, key=first.usual.get)),
          flush=True)
    works = [first] + [first.copy(os.path.join(home, str(n)))
                       for n in range(2, options.jobs + 1)]
    attempt_all(works, mutations, variants, count, options)
    if not options.keep:
        shutil.rmtree(home, ignore_errors=True)
    for name in count.survivors:
        print(f"survivor: {name}")
    print(f"{len(mutations)} mutations: {count['caught']} caught, "
          f"{count['SURVIVED']} survived, {count['skipped']} skipped" +
          (f", {count['wrong']} WRONG" if count["wrong"] else "") +
          f", in {time.monotonic() - began:.0f} s")
    return 2 if count["wrong"] else 1 if count["SURVIVED"] else 0


def main():
    options = parse_options()
    try:
        lists = sorted(glob.glob(os.path.join(options.top, LISTS)))
        mutations = [each for path in lists for each in parse(path, options.top)]
        check_names(mutations)
        mutations = [each for each in mutations if chosen(each, options.only)]
        if not mutations:
            raise Wrong("no mutation has such a name")
        if options.where:
            return 2 if find_moved(mutations, lists, options.top,
                                   options.write) else 0
        if options.list:
            for each in mutations:
                print(f"{each.file}: {each.name}")
            return 0
        check_texts(mutations, options.top)
        return attempt_list(mutations, options)
    except Wrong as error:
        print(f"mutations: {error}", file=sys.stderr)
        return 2


def interrupted(number, frame):
    print(f"mutations: ended by signal {number}", file=sys.stderr, flush=True)
    for leader in list(LEADERS):
        end_session(leader)
    os._exit(128 + number)


if __name__ == "__main__":
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, interrupted)
    sys.exit(main())
