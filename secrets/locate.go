package secrets

import (
	"bytes"
	"crypto/subtle"
	"path"
	"unicode/utf8"
)

// Location is where a value stands: in a file as a whole, or under a key of a
// file of keys.
type Location struct {
	File string
	Key  string // "" for a whole file
}

// Locate tells where a value that Lookup gave stands. It tells false for a value
// of another set, and for one whose content is not known.
func (s *Set) Locate(v Value) (Location, bool) {
	if !v.Known() {
		return Location{}, false
	}
	wanted := v.open()
	for file, value := range s.whole {
		if value.Known() && value.open() == wanted {
			return Location{File: file}, true
		}
	}
	for _, keys := range s.keyed {
		for key, value := range keys.values {
			if value.Known() && value.open() == wanted {
				return Location{File: keys.path, Key: key}, true
			}
		}
	}
	return Location{}, false
}

// VersionFile gives the file of keys whose setting of the version name (such as
// SV_db_access) counts; false where none sets it.
func (s *Set) VersionFile(name string) (file string, found bool) {
	for _, keys := range s.keyed {
		if _, found := keys.versions[name]; found {
			return keys.path, true
		}
	}
	return "", false
}

// OverrideFile gives the node's secrets.override.enc, and whether it holds
// versions; "" where there is none.
func (s *Set) OverrideFile() (file string, holdsVersions bool) {
	for _, keys := range s.keyed {
		if path.Base(keys.path) == baseOverride {
			return keys.path, len(keys.versions) > 0
		}
	}
	return "", false
}

// Equal tells whether two known values have the same content.
func (v Value) Equal(other Value) bool {
	return v.Known() && other.Known() && subtle.ConstantTimeCompare(v.Reveal(), other.Reveal()) == 1
}

// Len is the number of bytes of a known value.
func (v Value) Len() int { return len(v.Reveal()) }

// EndsLine tells whether the value ends in a line break.
func (v Value) EndsLine() bool { return bytes.HasSuffix(v.Reveal(), []byte("\n")) }

// WithoutLineBreak gives the value without the one line break at its end, and
// whether there was one to take off: an editor's, which is no part of a
// password. A line break stays where the value is no text, and where the value
// that it replaces ends in one as well.
func (v Value) WithoutLineBreak(replaced Value) (Value, bool) {
	content := v.Reveal()
	rest, found := bytes.CutSuffix(content, []byte("\n"))
	if !found || !utf8.Valid(content) || bytes.IndexByte(content, 0) >= 0 || replaced.EndsLine() {
		return NewValue(bytes.Clone(content)), false
	}
	return NewValue(bytes.Clone(bytes.TrimSuffix(rest, []byte("\r")))), true
}
