package sync

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
)

// Inputs lists the reads of a checkout by path: mode and git object hash of a file or a link;
// mode and a digest of the names and modes in a listed folder; only the mode of a folder that
// was opened but not listed; "" for a missing path.
type Inputs map[string]string

const absent = ""

func (n node) input() string { return modeOnly(n) + " " + n.hash.String() }

// names begins the digest of a listed folder. An earlier version of the agent recorded the hash
// of the whole folder, which differs with each file below it.
const names = " names "

// listing gives the input of a list of a folder: what is in its files and folders does not count.
func (f *files) listing(at node) (string, error) {
	entries, err := f.folder(at.hash)
	if err != nil {
		return "", err
	}
	digest := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		fmt.Fprintf(digest, "%s %s\x00", modeOnly(entries[name]), name)
	}
	return modeOnly(at) + names + hex.EncodeToString(digest.Sum(nil)), nil
}

// again gives the input that a read would be of what is at its path now, to be compared with
// the one that it was.
func (f *files) again(at node, then string) (string, error) {
	switch {
	case at.mode != modeFolder:
	case then == modeOnly(at):
		return then, nil
	case strings.HasPrefix(then, modeOnly(at)+names):
		return f.listing(at)
	}
	return at.input(), nil
}

func modeOnly(n node) string { return strings.TrimPrefix(n.mode.String(), "0") }

// note records an input of a read. It does not replace the list of a folder by its mode.
func (f *files) note(name, input string) {
	if known := f.read[name]; strings.HasPrefix(known, input+" ") {
		return
	}
	f.read[name] = input
}

// Inputs returns the reads through FS so far. It has both a followed link and its target.
func (c *Checkout) Inputs() Inputs {
	if c.files == nil {
		return nil
	}
	c.files.mu.Lock()
	defer c.files.mu.Unlock()
	return maps.Clone(c.files.read)
}

// Anew gives the same files without reads so far. What is read through one of the two is no
// input of the other; both have the same files in memory.
func (c *Checkout) Anew() *Checkout {
	if c.files == nil {
		return &Checkout{Revision: c.Revision, FS: c.FS}
	}
	c.files.mu.Lock()
	defer c.files.mu.Unlock()
	again := *c.files
	again.read = Inputs{}
	return &Checkout{Revision: c.Revision, FS: &again, files: &again}
}

// Same reports whether the reads in would give the same results in this checkout. It uses
// only folders and reads no file.
func (c *Checkout) Same(in Inputs) bool {
	if c.files == nil {
		return false
	}
	c.files.mu.Lock()
	defer c.files.mu.Unlock()
	for name, then := range in {
		if !fs.ValidPath(name) {
			return false
		}
		at, found, err := c.files.literal(name)
		if err != nil {
			return false
		}
		now := absent
		if found {
			if now, err = c.files.again(at, then); err != nil {
				return false
			}
		}
		if now != then {
			return false
		}
	}
	return true
}

// Files returns the files that were read through FS so far: the content of each file, and
// the target of each symbolic link. For a Checkout that Fetch did not make, it returns
// all files.
func (c *Checkout) Files() (contents map[string][]byte, links map[string]string, err error) {
	contents, links = map[string][]byte{}, map[string]string{}
	if c.files == nil {
		err = fs.WalkDir(c.FS, ".", func(name string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			contents[name], err = fs.ReadFile(c.FS, name)
			return err
		})
		return contents, links, err
	}
	c.files.mu.Lock()
	defer c.files.mu.Unlock()
	for name := range c.files.read {
		at, found, err := c.files.literal(name)
		if err != nil {
			return nil, nil, err
		}
		if !found || at.hash.IsZero() || at.mode == modeFolder || at.mode == modeSubmodule {
			continue
		}
		content, err := c.files.blob(name, at.hash)
		if err != nil {
			return nil, nil, err
		}
		if at.mode == modeLink {
			links[name] = string(content)
		} else {
			contents[name] = content
		}
	}
	return contents, links, nil
}
