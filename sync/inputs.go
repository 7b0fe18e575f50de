package sync

import (
	"io/fs"
	"maps"
	"strings"
)

// Inputs is what was read of a checkout, by path: mode and git object hash of a
// file, a link or a folder that was listed; the mode alone of a folder that was
// only passed by; nothing for what was looked up and is not there.
type Inputs map[string]string

const absent = ""

func (n node) input() string { return modeOnly(n) + " " + n.hash.String() }

func modeOnly(n node) string { return strings.TrimPrefix(n.mode.String(), "0") }

// note writes down what a read depends on; that a folder was listed says more
// than that it is there.
func (f *files) note(name, input string) {
	if known := f.read[name]; strings.HasPrefix(known, input+" ") {
		return
	}
	f.read[name] = input
}

// Inputs gives what was read through FS so far. A link that was followed is in
// it beside the file that it leads to.
func (c *Checkout) Inputs() Inputs {
	if c.files == nil {
		return nil
	}
	c.files.mu.Lock()
	defer c.files.mu.Unlock()
	return maps.Clone(c.files.read)
}

// Same tells whether reads that gave in elsewhere would give the same here. It
// looks at folders alone and reads no file.
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
			now = at.input()
		}
		if now != then && (!found || then != modeOnly(at) || at.mode != modeFolder) {
			return false
		}
	}
	return true
}

// Files gives what was read through FS so far: the content of each file, and where
// each symbolic link leads. Of a Checkout that Fetch did not make it gives all
// files.
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
