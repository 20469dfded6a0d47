/**
 * The program that a Python worker runs, as text: it travels inside our own bundle and is given to `python3 -c`.
 *
 * It reads requests from fd 3 and answers on fd 4, each frame a length (4 bytes, big endian) and JSON in
 * UTF-8. stdout and stderr belong to the code that it runs; after each run the request's mark is written
 * to both, so that the reader knows that it has seen all. Where fd 3 ends, the node is gone: the whole process group ends.
 */
export const workerSource = String.raw`
import sys
sys.path[:] = [entry for entry in sys.path if entry != ""]
import ast, datetime, decimal, importlib, inspect, json, linecache, math, numbers, os
import queue, signal, struct, threading, traceback, types
sys.path.insert(0, os.getcwd())

FILE = "<code>"
MODULE = "__deed__"
DEPTH_MAX = 64
EXACT_MAX = 2**53
TRACEBACK_CHARS_MAX = 16 * 1024
MESSAGE_CHARS_MAX = 3000
ROOT = os.getpid()
requests = queue.SimpleQueue()


class Refused(Exception):
    pass


def read_exactly(size):
    parts = []
    while size > 0:
        part = os.read(3, min(size, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def read_requests():
    try:
        while True:
            (size,) = struct.unpack(">I", read_exactly(4))
            requests.put(read_exactly(size))
    except BaseException:
        os.killpg(os.getpgrp(), signal.SIGKILL)


def write_all(fd, data):
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]


def answer(message):
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    write_all(4, struct.pack(">I", len(data)) + data)


def plain(value, path, depth):
    """The value as JSON has it. What a number of JSON cannot hold exactly becomes text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, numbers.Integral):
        number = int(value)
        return number if -EXACT_MAX <= number <= EXACT_MAX else str(number)
    if isinstance(value, numbers.Real):
        number = float(value)
        if not math.isfinite(number):
            raise Refused(f"{path} is {number}, which JSON cannot say")
        return number
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal) or type(value).__module__ == "uuid":
        return str(value)
    if isinstance(value, (dict, list, tuple)):
        if depth == DEPTH_MAX:
            raise Refused(f"it nests deeper than {DEPTH_MAX}")
        if isinstance(value, dict):
            members = {
                key_of(key, path): plain(member, f"{path}[{key!r}]", depth + 1)
                for key, member in value.items()
            }
            if len(members) < len(value):
                raise Refused(f"{path} has keys that are the same as text")
            return members
        return [plain(member, f"{path}[{at}]", depth + 1) for at, member in enumerate(value)]
    raise Refused(f"{path} is a {type(value).__name__}, which JSON cannot say")


def key_of(key, path):
    if isinstance(key, str):
        return str(key)
    if key is None or isinstance(key, int):
        return json.dumps(key)
    raise Refused(f"{path} has a key that is a {type(key).__name__}: keys are text")


class TopLevel(ast.NodeTransformer):
    """Finds a return that stands in no function. Annotations go, as a global name may have none."""

    returns = False

    def visit_Return(self, node):
        self.returns = True
        return node

    def visit_AnnAssign(self, node):
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        return ast.copy_location(ast.Assign(targets=[node.target], value=node.value), node)

    def leave(self, node):
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = visit_Lambda = leave


def compiled(code):
    """The code as a module; with a return at its top level as a function whose names are the module's."""
    tree = ast.parse(code, FILE)
    found = TopLevel()
    body = found.visit(ast.parse(code, FILE)).body
    if not found.returns:
        return compile(tree, FILE, "exec", dont_inherit=True), False

    def function(first):
        module = ast.parse(f"def {MODULE}(): return ...", FILE)
        module.body[0].body[:0] = [*first, *body]
        return compile(ast.fix_missing_locations(module), FILE, "exec", dont_inherit=True)

    alone = function([])
    inner = next(const for const in alone.co_consts if isinstance(const, types.CodeType))
    names = sorted({*inner.co_varnames, *inner.co_cellvars})
    return (function([ast.Global(names=names)]) if names else alone), True


def call_main(main, request):
    given = {"context": request["context"], "input_data": request["input"], **request["input"]}
    args, named = [], {}
    for name, parameter in inspect.signature(main).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            named = {**request["input"], **named}
        elif parameter.kind is parameter.POSITIONAL_ONLY and name in given:
            args.append(given[name])
        elif parameter.kind is not parameter.VAR_POSITIONAL and name in given:
            named[name] = given[name]
    return main(*args, **named)


def bound(libs):
    for name, lib in libs.items():
        if isinstance(lib, str):
            yield name, importlib.import_module(lib)
            continue
        module = importlib.import_module(lib["from"])
        if not hasattr(module, lib["import"]):
            module = importlib.import_module(lib["from"] + "." + lib["import"])
            yield name, module
        else:
            yield name, getattr(module, lib["import"])


def evaluated(request):
    code, is_function = compiled(request["code"])
    module = types.ModuleType(MODULE)
    sys.modules[MODULE] = module
    space = module.__dict__
    space.update(context=request["context"], input_data=request["input"])
    space.update(bound(request["libs"]))
    space.update((name, value) for name, value in request["input"].items() if name[:2] != "__")
    unset = object()
    result, main = space.get("result", unset), space.get("main", unset)
    exec(code, space)
    if is_function:
        returned = space.pop(MODULE)()
        if returned is not ...:
            return returned
    if space.get("result", unset) is not result:
        return space.get("result")
    if callable(space.get("main")) and space["main"] is not main:
        value = call_main(space["main"], request)
        if inspect.iscoroutine(value):
            import asyncio
            return asyncio.run(value)
        return value
    return space.get("result")


def failure(thrown):
    lines = None
    trace = thrown.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != FILE:
        trace = trace.tb_next
    told = traceback.TracebackException(type(thrown), thrown, trace)
    if isinstance(thrown, SyntaxError) and thrown.filename == FILE:
        lines = thrown.lineno
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILE:
            lines = trace.tb_lineno
        trace = trace.tb_next
    text = "".join(told.format())
    message = "".join(told.format_exception_only()).strip() if lines is None else short(thrown)
    return {
        "kind": "error",
        "type": type(thrown).__name__,
        "message": unicode(message[:MESSAGE_CHARS_MAX]),
        "traceback": unicode(text[-TRACEBACK_CHARS_MAX:]),
        "line": lines,
    }


def unicode(text):
    return text.encode("utf-8", "replace").decode()


def short(thrown):
    try:
        text = thrown.msg if isinstance(thrown, SyntaxError) else str(thrown)
    except BaseException:
        text = "its message could not be made"
    return f"{type(thrown).__name__}: {text}" if text else type(thrown).__name__


def outcome(request):
    code = request["code"]
    linecache.cache[FILE] = (len(code), None, code.splitlines(True), FILE)
    try:
        value = evaluated(request)
    except BaseException as thrown:
        return failure(thrown)
    try:
        data = json.dumps(plain(value, "result", 0), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return {"kind": "refused", "message": "it holds text that is not Unicode (half a character)"}
    except Refused as thrown:
        return {"kind": "refused", "message": unicode(str(thrown)[:MESSAGE_CHARS_MAX])}
    except BaseException as thrown:
        return failure(thrown)
    if len(data) > request["result_bytes_max"]:
        most = request["result_bytes_max"]
        return {"kind": "refused", "message": f"it has {len(data)} bytes and may have {most}"}
    return b'{"kind":"done","result":' + data + b"}"


def kept_bytes():
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def has_children():
    try:
        os.waitpid(-1, os.WNOHANG)
        return True
    except OSError:
        return False


def run(request):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    environment, folder, path = dict(os.environ), os.getcwd(), list(sys.path)
    reply = outcome(request)
    if os.getpid() != ROOT:
        os._exit(0)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            pass
    sys.stdin, sys.stdout, sys.stderr = sys.__stdin__, sys.__stdout__, sys.__stderr__
    sys.modules.pop(MODULE, None)
    sys.path[:], sys.argv[:] = path, ["-c"]
    retire = threading.active_count() > 2 or has_children()
    retire = retire or kept_bytes() > request["memory_bytes_max"]
    try:
        if dict(os.environ) != environment:
            os.environ.clear()
            os.environ.update(environment)
        os.chdir(folder)
    except OSError:
        retire = True
    for fd in (1, 2):
        try:
            write_all(fd, request["mark"].encode())
        except OSError:
            retire = True
    answer(reply)
    answer({"kind": "free", "retire": retire})


for fd in (3, 4):
    os.set_inheritable(fd, False)
threading.Thread(target=read_requests, daemon=True).start()
while True:
    request = json.loads(requests.get())
    answer({"kind": "begun"})
    run(request)
    del request
`;
