"""System calls that Node does not offer: asked for as JSON lines on stdin, answered in turn on stdout.

A request is {"call": NAME, "arguments": {...}}; an answer {"value": ...} or {"errno": NAME, "message": ...}. Bytes are
base64. SIGUSR1 interrupts a call that waits, which then answers EINTR.
"""

import base64
import ctypes
import errno
import fcntl
import json
import mmap
import os
import signal
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
off_t = ctypes.c_int64

AT_FDCWD = -100
UTIME_NOW = (1 << 30) - 1
UTIME_OMIT = (1 << 30) - 2

LOCK_TYPES = {"read": fcntl.F_RDLCK, "write": fcntl.F_WRLCK, "unlock": fcntl.F_UNLCK}
LOCK_NAMES = {value: name for name, value in LOCK_TYPES.items()}
# F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW
LOCK_COMMANDS = {
    "posix": {"get": fcntl.F_GETLK, "set": fcntl.F_SETLK, "wait": fcntl.F_SETLKW},
    "ofd": {"get": 36, "set": 37, "wait": 38},
}
FLOCK_TYPES = {"read": fcntl.LOCK_SH, "write": fcntl.LOCK_EX, "unlock": fcntl.LOCK_UN}
FLOCK_STRUCT = "hhqqi4x"

# Errors with two names go by the one that the manual pages use.
ERROR_NAMES = {**errno.errorcode, errno.EOPNOTSUPP: "EOPNOTSUPP", errno.EDEADLK: "EDEADLK", errno.EAGAIN: "EAGAIN"}

maps = {}
waiting = False


def checked(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def text(data):
    return base64.b64encode(data).decode()


def call_open(path, flags, mode=0o644):
    return os.open(path, flags, mode)


def call_close(fd):
    os.close(fd)


def call_pread(fd, length, offset):
    return text(os.pread(fd, length, offset))


def call_pwrite(fd, data, offset):
    return os.pwrite(fd, base64.b64decode(data), offset)


def call_direct_pread(fd, length, offset):
    # An anonymous map is aligned to pages, as O_DIRECT wants it.
    buffer = mmap.mmap(-1, max(length, 1))
    count = os.preadv(fd, [memoryview(buffer)[:length]], offset)
    return text(buffer[:count])


def call_direct_pwrite(fd, data, offset):
    content = base64.b64decode(data)
    buffer = mmap.mmap(-1, max(len(content), 1))
    buffer[: len(content)] = content
    return os.pwritev(fd, [memoryview(buffer)[: len(content)]], offset)


def call_fallocate(fd, mode, offset, length):
    checked(libc.fallocate(fd, mode, off_t(offset), off_t(length)))


def call_lseek(fd, offset, whence):
    return os.lseek(fd, offset, whence)


def call_extents(fd, offset):
    """The ranges from the offset on that SEEK_DATA and SEEK_HOLE say are data, as pairs of start and end."""
    found = []
    while True:
        try:
            start = os.lseek(fd, offset, os.SEEK_DATA)
            offset = os.lseek(fd, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return found
            raise
        found.append([start, offset])


def call_copy_file_range(source, sourceOffset, target, targetOffset, length):
    return os.copy_file_range(source, target, length, sourceOffset, targetOffset)


def call_rename(source, target, flags):
    checked(libc.renameat2(AT_FDCWD, os.fsencode(source), AT_FDCWD, os.fsencode(target), flags))


def call_ftruncate(fd, size):
    os.ftruncate(fd, size)


def call_lock(fd, kind, command, type, start=0, length=0):
    global waiting
    request = struct.pack(FLOCK_STRUCT, LOCK_TYPES[type], os.SEEK_SET, start, length, 0)
    waiting = command == "wait"
    try:
        answer = fcntl.fcntl(fd, LOCK_COMMANDS[kind][command], request)
    finally:
        waiting = False
    if command != "get":
        return None
    held, _, start, length, pid = struct.unpack(FLOCK_STRUCT, answer)
    return {"type": LOCK_NAMES[held], "start": start, "length": length, "pid": pid}


def call_flock(fd, type, wait=False):
    global waiting
    waiting = wait
    try:
        fcntl.flock(fd, FLOCK_TYPES[type] | (0 if wait else fcntl.LOCK_NB))
    finally:
        waiting = False


def call_mmap(fd, length, shared=True, writable=True):
    flags = mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE
    protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    number = len(maps) + 1
    maps[number] = mmap.mmap(fd, length, flags, protection)
    return number


def call_map_read(map, offset, length):
    return text(maps[map][offset : offset + length])


def call_map_write(map, offset, data):
    content = base64.b64decode(data)
    maps[map][offset : offset + len(content)] = content


def call_map_sync(map):
    maps[map].flush()


def call_munmap(map):
    maps[map].close()
    # The number stays taken, so that none is given out twice.
    maps[map] = None


class Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


def timespec(value):
    if value == "now":
        return Timespec(0, UTIME_NOW)
    if value == "omit":
        return Timespec(0, UTIME_OMIT)
    return Timespec(value["seconds"], value["nanoseconds"])


def call_utimens(path, atime, mtime):
    times = (Timespec * 2)(timespec(atime), timespec(mtime))
    checked(libc.utimensat(AT_FDCWD, os.fsencode(path), times, 0))


def call_statvfs(path):
    stat = os.statvfs(path)
    return {
        "blockSize": stat.f_bsize,
        "fragmentSize": stat.f_frsize,
        "blocks": stat.f_blocks,
        "blocksFree": stat.f_bfree,
        "blocksAvailable": stat.f_bavail,
        "files": stat.f_files,
        "filesFree": stat.f_ffree,
        "nameLengthMax": stat.f_namemax,
    }


def call_setxattr(path, name, value, flags=0):
    os.setxattr(path, name, base64.b64decode(value), flags)


def call_getxattr(path, name, size=None):
    if size is None:
        return text(os.getxattr(path, name))
    buffer = ctypes.create_string_buffer(max(size, 1))
    count = checked(libc.getxattr(os.fsencode(path), os.fsencode(name), buffer, ctypes.c_size_t(size)))
    return count if size == 0 else text(buffer.raw[:count])


def call_listxattr(path):
    return os.listxattr(path)


def call_removexattr(path, name):
    os.removexattr(path, name)


def call_mkfifo(path):
    os.mkfifo(path)


def call_umask(mask):
    return os.umask(mask)


def call_as_user(uid, gid, call, arguments):
    """Carries one call out in a child with these ids and no other group."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
        os.write(write, json.dumps(answer(call, arguments)).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        reply = json.loads(pipe.read())
    os.waitpid(child, 0)
    if "errno" in reply:
        raise OSError(getattr(errno, reply["errno"]), reply["message"])
    return reply["value"]


def answer(call, arguments):
    try:
        return {"value": globals()["call_" + call](**arguments)}
    except OSError as error:
        return {"errno": ERROR_NAMES.get(error.errno, str(error.errno)), "message": str(error)}


def interrupt(number, frame):
    if waiting:
        raise InterruptedError(errno.EINTR, "interrupted")


def main():
    signal.signal(signal.SIGUSR1, interrupt)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(answer(request["call"], request["arguments"])), flush=True)


main()
