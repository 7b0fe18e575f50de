package provenance

import (
	"context"
	"io/fs"
	"path"
	"slices"

	gitsync "coin.internal/coin-agent/sync"
)

// track is one node through all commits.
type track struct {
	history  *history
	node     string
	dirs     map[*commit]string              // its folder, which may have been renamed
	readings map[*commit]map[string]*reading // its secrets
}

// follow reads a node's folder in every commit, under the names that it had.
func (h *history) follow(ctx context.Context, node, dir string) (*track, error) {
	t := &track{history: h, node: node, dirs: map[*commit]string{h.head: dir}, readings: map[*commit]map[string]*reading{}}
	lastDir, inputs := "", gitsync.Inputs{} // of what was read last
	var readings map[string]*reading
	for _, one := range slices.Backward(h.all) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		now, err := h.at(one)
		if err != nil {
			return nil, err
		}
		dir := t.dirs[one]
		if dir != lastDir || !now.checkout.Same(inputs) {
			readings = now.readings(dir)
			lastDir, inputs = dir, now.checkout.Inputs()
		}
		t.readings[one] = readings
		for _, parent := range one.parents {
			if t.dirs[parent] != "" {
				continue
			}
			before, err := h.at(parent)
			if err != nil {
				return nil, err
			}
			t.dirs[parent] = dir
			if readings != nil && !before.has(dir) {
				t.dirs[parent] = renamed(before, now, dir)
			}
		}
	}
	return t, h.objects.fault
}

// renamed gives the earlier name of a node's folder: that of a node which is gone now
// and had at least half of its files the same. Without one it gives dir.
func renamed(before, now *files, dir string) string {
	mine := now.contents(dir)
	best, most := dir, 0
	for _, environment := range before.list("environments") {
		for _, node := range before.list(path.Join("environments", environment, "nodes")) {
			other := path.Join("environments", environment, "nodes", node)
			if now.has(other) {
				continue
			}
			theirs, shared := before.contents(other), 0
			for content := range theirs {
				if mine[content] {
					shared++
				}
			}
			if shared > most && 2*shared >= min(len(mine), len(theirs)) {
				best, most = other, shared
			}
		}
	}
	return best
}

// contents gives the files in a folder and below it.
func (f *files) contents(dir string) map[string]bool {
	all := map[string]bool{}
	_ = fs.WalkDir(f.FS, dir, func(name string, _ fs.DirEntry, _ error) error { // what cannot be read is left out
		if content, ok := f.read(name); ok {
			all[string(content)] = true
		}
		return nil
	})
	return all
}

// newValue reports whether the value differs from the one before.
func (r *reading) newValue(before *reading) Certainty {
	switch {
	case r.external || before.external:
		return Unknown
	case r.file == nil || before.file == nil:
		return certainly(r.file != before.file)
	case r.cipher() != "" && r.cipher() == before.cipher():
		return No
	case r.print != "" && before.print != "":
		return certainly(r.print != before.print)
	}
	for key, cipher := range r.file.ciphers {
		if key != r.key && before.file.ciphers[key] == cipher {
			return Yes // the file was edited: what did not change has kept its ciphertext
		}
	}
	return Unknown // the whole file may have been encrypted again
}

// cipher is the digest of the value's ciphertext; "" where it is in plaintext.
func (r *reading) cipher() string {
	if cipher, ok := r.file.ciphers[r.key]; ok {
		return cipher
	}
	return r.file.ciphers[""] // the keys in the file are encrypted too
}

func certainly(so bool) Certainty {
	if so {
		return Yes
	}
	return No
}

// plain reports whether the value is in git unencrypted.
func (r *reading) plain() bool {
	return r != nil && r.file != nil && r.cipher() == "" && r.print != ""
}

// id tells versions apart.
func (r *reading) id() string { return r.version + "\x00" + r.sealed }

func (r *reading) sameVersion(before *reading) bool {
	return r.id() == before.id() && (r.variable == before.variable || r.version != "")
}

// sameValue is for the age of a value. The version represents one that is not in git.
func (r *reading) sameValue(other *reading) bool {
	if r.external && other.external {
		return r.sameVersion(other)
	}
	return r.newValue(other) == No
}

// same reports whether neither the version nor the value differs.
func (r *reading) same(before *reading) bool {
	if r == nil || before == nil || r == before {
		return r == before
	}
	return r.sameVersion(before) && r.sameValue(before)
}
