package secrets

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// State gives a text that differs once a key file was changed, replaced, removed, or given other
// permissions. It reads no key.
func (f KeyFiles) State() string {
	paths := slices.Concat(f.Age, f.PGP, []string{f.PGPPassphrase, f.VaultToken, f.CAFile})
	if f.GnuPGHome != "" { // gpg itself changes other files of it
		paths = append(paths, filepath.Join(f.GnuPGHome, "pubring.kbx"), filepath.Join(f.GnuPGHome, "private-keys-v1.d"))
	}
	text := ""
	for _, path := range paths {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			text += fmt.Sprintf("%q: %v\n", path, err)
			continue
		}
		text += fmt.Sprintf("%q %s %d %d", path, info.Mode(), info.Size(), info.ModTime().UnixNano())
		if of, has := info.Sys().(*syscall.Stat_t); has {
			text += fmt.Sprint(" ", of.Dev, of.Ino, of.Uid, of.Gid, of.Ctim.Sec, of.Ctim.Nsec)
		}
		text += "\n"
	}
	return text
}
