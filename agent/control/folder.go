package control

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"coin.internal/coin-agent/internal/fault"
)

// upwards looks at a folder, and at each above it. It follows links.
func upwards(folder string, look func(at string, info os.FileInfo, above bool) error) error {
	path, err := filepath.EvalSymlinks(folder)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return fmt.Errorf("find folder of the control socket: %w", err)
	}
	for at := path; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			return fmt.Errorf("look at folder of the control socket: %w", err)
		}
		if err := look(at, info, at != path); err != nil || at == filepath.Dir(at) {
			return err
		}
	}
}

// closedFolder checks that no other user can put a socket of their own into the folder: the
// folder and all above it belong to root or to the agent's user, and other users cannot
// write to them. Above the folder the sticky bit, as of /tmp, is enough.
func closedFolder(folder string) error {
	return upwards(folder, func(at string, info os.FileInfo, above bool) error {
		if owner := info.Sys().(*syscall.Stat_t).Uid; owner != 0 && int(owner) != os.Getuid() {
			return fault.New(fault.Place{File: at}, fmt.Sprintf("chown %d %s, or choose another folder for the socket", os.Getuid(), at),
				"the control socket's folder belongs to the user %d", owner)
		}
		sticky := above && info.Mode()&os.ModeSticky != 0
		if info.Mode().Perm()&0o022 != 0 && !sticky {
			return fault.New(fault.Place{File: at}, "chmod go-w "+at+", or choose another folder for the socket",
				"other users can replace the control socket: its folder has mode %04o", info.Mode().Perm())
		}
		return nil
	})
}
