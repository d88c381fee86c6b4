"""Case files (see README): read, played against a server, and compared with their golden answers."""
import difflib
import re
import socket
import time

import ber
from wording import WITHOUT_ANSWER, Answer, Bad, request, unescape, words

ABBREVIATIONS = {"$P": "ou=people,o=Example", "$W": "ou=work,o=Example"}
PATTERNS = {"<any>": ".*", "<uuid>": "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
            "<time>": r"\d{14}(\.\d+)?Z", "<number>": r"\d+"}


class Step:
    """Requests that are sent together, and what is answered to all of them."""

    def __init__(self):
        self.requests = []  # each a list of lines
        self.golden = []


class Case:
    def __init__(self, name, where, only):
        self.name, self.where, self.only = name, where, only
        self.identity, self.steps = "admin", []

    @property
    def needs_work(self):
        return any("ou=work,o=Example" in line for s in self.steps for r in s.requests for line in r)


def full(line):
    for short, long in ABBREVIATIONS.items():
        line = line.replace(short, long)
    return line


def read(path):
    """The cases of a file, in order."""
    found, rfc, only = [], path.rsplit("/", 1)[-1].removesuffix(".case"), None
    with open(path, encoding="utf-8") as f:
        for n, raw in enumerate(f, 1):
            line = full(raw.rstrip("\n"))
            if not line.strip() or line.startswith("#"):
                continue
            if line.startswith("case "):
                found.append(Case(f"{rfc} {line[5:]}", f"{path}:{n}", only))
            elif not found and line.startswith("only "):
                only = line[5:].strip()
            elif not found:
                raise Bad(f"{path}:{n}: before the first case: {line}")
            else:
                read_line(found[-1], line, f"{path}:{n}")
    names = [c.name for c in found]
    for name in names:
        if names.count(name) > 1:
            raise Bad(f"{path}: two cases {name}")
    return found


def read_line(case, line, where):
    steps = case.steps
    if line.startswith("as "):
        case.identity = line[3:].strip()
    elif line.startswith("only "):
        case.only = line[5:].strip()
    elif line.startswith("> "):
        if not steps or steps[-1].golden:
            steps.append(Step())
        if case.only != "dird":
            refuse_order(steps[-1], line[2:].strip(), where)
        steps[-1].requests.append([line[2:].strip()])
    elif line.startswith("< ") and steps:
        steps[-1].golden.append(unescape(line[2:].rstrip()))
    elif line.startswith("* ") and steps:
        steps[-1].golden.append(unescape(line.rstrip()))
    elif line.startswith("  ") and steps and steps[-1].golden:
        steps[-1].golden.append("  " + unescape(line.strip()))
    elif line.startswith("  ") and steps:
        steps[-1].requests[-1].append(line.strip())
    else:
        raise Bad(f"{where}: {line}")


def named(request_line, *kinds):
    """The entry that a request of these kinds writes, or ""."""
    return words(request_line)[1].lower() if request_line.split(" ")[0] in kinds else ""


def refuse_order(step, line, where):
    """Requests that go out together may be done at once (RFC 4511 §3.1): none may need what another one adds."""
    name = named(line, "add", "modify", "delete", "modrdn")
    for above in filter(None, (named(r[0], "add") for r in step.requests)):
        if name == above or name.endswith("," + above):
            raise Bad(f"{where}: {line}: it does not wait for the answer to: add {above}")


class Session:
    """One connection on which a case is played."""

    def __init__(self, address):
        self.raw, self.cookie, self.number = ber.Raw(address), b"", 0
        self.staying = set()  # requests that are answered until something ends them
        self.raw.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) \
            if not isinstance(address, str) else None

    def close(self):
        self.raw.s.close()

    def next(self):
        """The next answer; "closed", or "silence" when none comes for long."""
        while True:
            whole = ber.split(self.raw.data)
            if whole:
                self.raw.data = whole[2]
                return Answer(whole[1])
            try:
                piece = self.raw.s.recv(65536)
            except TimeoutError:
                return "silence"
            except ConnectionResetError:
                return "closed"
            if not piece:
                return "closed"
            self.raw.data += piece

    def play(self, step):
        """Send the requests of a step; the answers as lines."""
        sent, kinds = b"", {}
        for lines in step.requests:
            self.number += 1
            stays, first = lines[0].startswith("stays "), lines[0].removeprefix("stays ")
            message, word = request([first, *lines[1:]], self.number, self.cookie)
            sent += message
            if stays:
                self.staying.add(self.number)
            if word not in WITHOUT_ANSWER:
                kinds[self.number] = word, "in-order" in first
        try:
            self.raw.s.sendall(sent)
        except (BrokenPipeError, ConnectionResetError):
            pass
        expects_end = "closed" in step.golden
        raw_requests = sum(word == "raw" for word, _ in kinds.values())
        answers, waiting, tail = {}, set(kinds) - self.staying, []
        for n, (word, _) in kinds.items():
            if word == "raw":
                waiting.discard(n)
        got_raw, due = 0, sum(line.startswith(("* ", "aborted")) for line in step.golden)
        while waiting or expects_end or got_raw < raw_requests or due > 0:
            a = self.next()
            if isinstance(a, str):
                tail.append(a)
                break
            if a.id == 0:
                tail += a.lines
                due -= 1
                expects_end |= a.lines[0].startswith("notice")
                continue
            if a.cookie is not None:
                self.cookie = a.cookie
            if a.id in self.staying:
                if a.lines == ["sync-info newcookie"]:
                    continue  # may come at any time
                due -= 1
                tail += ["* " + a.lines[0], *a.lines[1:]]
                if a.is_last:
                    self.staying.discard(a.id)
                continue
            if kinds.get(a.id, ("",))[0] == "start" and a.code == 0:
                self.cookie = a.value
            answers.setdefault(a.id, []).append(a)
            if a.is_last:
                got_raw += a.id not in waiting
                waiting.discard(a.id)
        return self.lines(kinds, answers, step.golden) + tail

    def lines(self, kinds, answers, golden):
        out = []
        many = len(answers) > 1
        for number in sorted(answers):
            word, in_order = kinds.get(number, ("raw", False))
            lines = self.found(answers[number], in_order) if word == "find" else \
                self.everything(answers[number], in_order, golden)
            out += [f"#{number} {lines[0]}", *lines[1:]] if many else lines
        return out

    @staticmethod
    def found(answers, in_order):
        uids = [a.uid() for a in answers if a.op == 0x64]
        lines = [" ".join(["found", *(uids if in_order else sorted(uids))])]
        last = answers[-1]
        if last.code != 0:
            lines = lines[:bool(uids)] + last.lines
        else:
            lines += last.lines[1:]
        return lines + [x for a in answers if a.op == 0x73 for x in a.lines]

    @staticmethod
    def everything(answers, in_order, golden):
        parts = [a.lines for a in answers[:-1]]
        lines = [x for p in (parts if in_order else sorted(parts)) for x in p]
        last = answers[-1].lines[:]
        for wanted in golden:
            m = re.search(r" text~(.+)$", wanted)
            if m and m[1].lower() in answers[-1].text.decode().lower() and last[0] + m[0] == wanted:
                last[0] = wanted
        return lines + last


def agree(golden, got):
    """Lines with <any> and its like stand for what they match: got, with those put in."""
    out = list(got)
    for i, (g, w) in enumerate(zip(got, golden)):
        pattern = re.escape(w)
        for name, expression in PATTERNS.items():
            pattern = pattern.replace(re.escape(name), expression)
        if re.fullmatch(pattern, g):
            out[i] = w
    return out


def play(case, server):
    """Play a case: "" if every answer is the golden one, else what differs, readable."""
    if case.needs_work:
        server.empty_work()
    session = server.session(case.identity)
    try:
        for step in case.steps:
            try:
                got = agree(step.golden, session.play(step))
            except (Bad, ValueError, IndexError, TypeError) as e:
                got = [f"an answer that is none: {e}"]
            if got != step.golden:
                shown = "\n".join("> " + "\n  ".join(r) for r in step.requests)
                diff = difflib.unified_diff(step.golden, got, "golden", "answered", lineterm="", n=9)
                return f"{case.where}: {case.name}\nas {case.identity}\n{shown}\n" + "\n".join(diff)
    finally:
        session.close()
    return ""


def play_all(cases, server, only):
    """Each case that is for this server: (case, difference, seconds)."""
    for case in cases:
        if case.only in (None, only):
            begin = time.monotonic()
            yield case, play(case, server), time.monotonic() - begin
