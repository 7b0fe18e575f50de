// Package keyfile reads files with keys: from the path of public keys of those who may sign it makes
// the content, and from a content OpenPGP keys. It guarantees that Read returns no content of a file
// that other users can change.
package keyfile

import (
	"os"
	"syscall"

	"coin.internal/coin-agent/internal/fault"
)

// maxFile bounds a file of keys.
const maxFile = 4 << 20

// Of says what a file has, for messages.
type Of struct {
	Keys    string // such as: the keys of signers
	Setting string // that names the file, such as: policy.signers
}

// Read gives the content of a regular file that only its owner can change. Its errors are
// faults with a hint.
func Read(name string, of Of) ([]byte, error) {
	place := fault.Place{File: name}
	info, err := os.Stat(name)
	if err != nil {
		return nil, fault.New(place, "write the public keys into the file, or correct its path in "+of.Setting, "read %s: %w", of.Keys, err)
	}
	owner, known := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return nil, fault.New(place, "set the path of a regular file in "+of.Setting, "%s are not in a regular file", of.Keys)
	case info.Mode().Perm()&0o022 != 0:
		return nil, fault.New(place, "chmod go-w "+name, "other users can change %s (mode %04o)", of.Keys, info.Mode().Perm())
	case known && owner.Uid != 0 && int(owner.Uid) != os.Getuid():
		return nil, fault.New(place, "chown root "+name, "another user owns %s (user ID %d)", of.Keys, owner.Uid)
	case info.Size() > maxFile:
		return nil, fault.New(place, "list only the keys of those who may sign", "%s are larger than %d bytes", of.Keys, maxFile)
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, fault.New(place, "see that the agent's user may read the file", "read %s: %w", of.Keys, err)
	}
	return content, nil
}
