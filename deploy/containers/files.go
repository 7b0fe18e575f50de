package containers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/visible"
)

// DefaultFiles is the folder for the files of secrets and configs. /run is in memory.
const DefaultFiles = "/run/coin-agent/run"

// tmpfs is the type of that file system (statfs(2)).
const tmpfs = 0x01021994

// file is the content of a secret or a config, as the containers of a service see it.
type file struct {
	name     string // of the secret or config
	path     string // on this machine
	target   string // in the container
	uid, gid string
	mode     fs.FileMode
	content  []byte
	inode    uint64 // of the written file: another content is another file, and a container keeps the one that it has mounted
}

// names lists what the files are, without their contents.
func names(files []file) (all []string) {
	for _, f := range files {
		all = append(all, fmt.Sprint(f.name, " ", f.target, " ", f.uid, " ", f.gid, " ", f.mode, " ", f.inode))
	}
	return all
}

// filePath gives the path of a service's file. All containers of the service share it.
func filePath(folder, stack, service string, index int) string {
	return filepath.Join(folder, stack, service, strconv.Itoa(index))
}

// files writes the files of secrets and configs.
func (r *run) files(context.Context) error {
	for _, one := range r.wanted {
		for i := range one.files {
			f := &one.files[i]
			err := r.put(*f)
			if err == nil {
				f.inode, err = inode(f.path)
			}
			if err != nil {
				return fmt.Errorf("write the file of %s: %w", f.name, err)
			}
		}
	}
	return nil
}

// put writes a file, if it differs.
func (r *run) put(f file) error {
	if err := r.folder(filepath.Dir(f.path)); err != nil {
		return err
	}
	uid, err := number(f.uid)
	if err != nil {
		return err
	}
	gid, err := number(f.gid)
	if err != nil {
		return err
	}
	if present, err := os.ReadFile(f.path); err == nil && bytes.Equal(present, f.content) {
		return errors.Join(os.Chown(f.path, uid, gid), os.Chmod(f.path, f.mode.Perm()))
	}
	temporary := f.path + ".new"
	_ = os.Remove(temporary) // of a run that was interrupted
	made, err := os.OpenFile(temporary, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = made.Write(f.content)
	if err := errors.Join(err, made.Chown(uid, gid), made.Chmod(f.mode.Perm()), made.Close()); err != nil {
		return err
	}
	return os.Rename(temporary, f.path)
}

// inode gives the number of a file in its file system.
func inode(path string) (uint64, error) {
	var at syscall.Stat_t
	err := syscall.Stat(path, &at)
	return at.Ino, err
}

// folder makes a folder that only its owner reads, on a tmpfs.
func (r *run) folder(dir string) error {
	if !strings.HasPrefix(r.use.API.DaemonHost(), "unix://") {
		return fault.New(fault.Place{}, "run the command on the machine of the engine, or deploy to a Swarm", "the engine at %s is on another machine, whose memory cannot hold the files of secrets", r.use.API.DaemonHost())
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fault.WithHint(err, "run the command as root")
	}
	var at syscall.Statfs_t
	if err := syscall.Statfs(dir, &at); err != nil {
		return fmt.Errorf("look at %s: %w", dir, err)
	}
	if at.Type != tmpfs {
		return fault.New(fault.Place{File: dir}, "name a folder of a tmpfs with --files, such as /dev/shm/coin-agent", "the folder is on a disk, where secrets must not be written")
	}
	return private(r.use.Files)
}

func number(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	value, err := strconv.Atoi(text)
	if err != nil {
		return 0, fault.New(fault.Place{}, "write the number of the user and group", "%q is not a number: users of the image are not known outside of it", text)
	}
	return value, nil
}

// private refuses a folder that another user could have made, or can read or change.
func private(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("look at %s: %w", dir, err)
	}
	owner, known := info.Sys().(*syscall.Stat_t)
	if !known || !info.IsDir() || info.Mode().Perm()&0o077 != 0 || int(owner.Uid) != os.Geteuid() {
		return fault.New(fault.Place{File: dir}, "remove it, so that the command makes it anew, or name another folder with --files", "the folder for the files of secrets is open to other users")
	}
	return nil
}

// forget removes the files of a stack. It removes nothing outside of the folder, and nothing from
// a folder that is not one of Run.
func forget(folder, stack string) error {
	if stack == "" || strings.Contains(stack, "/") || !filepath.IsLocal(stack) || stack == "." {
		return fault.New(fault.Place{}, "name the stack with -w", "%q is not a valid stack name", visible.Line(stack))
	}
	if _, err := os.Lstat(filepath.Join(folder, stack)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := private(folder); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(folder, stack)); err != nil {
		return fmt.Errorf("remove the files of secrets: %w", err)
	}
	return nil
}
