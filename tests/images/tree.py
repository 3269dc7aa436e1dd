"""Reads directories from stdin, one a line, and answers each with one line of
JSON: all names below it with what lstat, readlink and listxattr say."""
import hashlib
import json
import os
import stat
import sys


def look(root):
    root = os.fsencode(root)
    names, inodes = {}, {}
    for directory, dirs, files in os.walk(root):
        dirs.sort()
        for name in sorted(dirs + files):
            path = os.path.join(directory, name)
            short = os.path.relpath(path, root).decode("latin-1")
            names[short] = describe(path, short, inodes)
    return names


def describe(path, short, inodes):
    s = os.lstat(path)
    kind = stat.S_IFMT(s.st_mode)
    what = {"kind": oct(kind), "owner": [s.st_uid, s.st_gid], "mtime": int(s.st_mtime)}
    if kind != stat.S_IFLNK:
        what["mode"] = oct(stat.S_IMODE(s.st_mode))
    if kind == stat.S_IFLNK:
        what["target"] = os.readlink(path).decode("latin-1")
    elif kind == stat.S_IFREG:
        with open(path, "rb") as f:
            what["content"] = hashlib.sha256(f.read()).hexdigest()
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        what["device"] = [os.major(s.st_rdev), os.minor(s.st_rdev)]
    if kind != stat.S_IFDIR and s.st_nlink > 1:
        what["same as"] = inodes.setdefault(s.st_ino, short)
    xattrs = {
        n: os.getxattr(path, n, follow_symlinks=False).decode("latin-1")
        for n in os.listxattr(path, follow_symlinks=False)
    }
    if xattrs:
        what["xattrs"] = xattrs
    return what


for line in sys.stdin:
    print(json.dumps(look(line.rstrip("\n"))), flush=True)
