package secrets

import (
	"bytes"
	"crypto/subtle"
	"path"
	"unicode/utf8"
)

// Location is the place of a value: a whole file, or a key in a file of keys.
type Location struct {
	File string
	Key  string // "" for a whole file
}

// Locate returns the place of a value from Lookup. It returns false for a value of
// another set, and for an unknown value.
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

// VersionFile returns the file of keys that sets the version name (such as
// SV_db_access), or false.
func (s *Set) VersionFile(name string) (file string, found bool) {
	for _, keys := range s.keyed {
		if _, found := keys.versions[name]; found {
			return keys.path, true
		}
	}
	return "", false
}

// OverrideFile returns the path of the node's secrets.override.enc, or "", and whether
// it has versions.
func (s *Set) OverrideFile() (file string, holdsVersions bool) {
	for _, keys := range s.keyed {
		if path.Base(keys.path) == baseOverride {
			return keys.path, len(keys.versions) > 0
		}
	}
	return "", false
}

// Equal reports whether two known values have the same content.
func (v Value) Equal(other Value) bool {
	return v.Known() && other.Known() && subtle.ConstantTimeCompare(v.Reveal(), other.Reveal()) == 1
}

// Len returns the number of bytes of a known value.
func (v Value) Len() int { return len(v.Reveal()) }

// EndsLine reports whether the value ends with a line break.
func (v Value) EndsLine() bool { return bytes.HasSuffix(v.Reveal(), []byte("\n")) }

// WithoutLineBreak returns the value without the line break at its end, which editors
// add, and whether it removed one. It keeps the line break if the value is not text, or
// if the replaced value also ends with one.
func (v Value) WithoutLineBreak(replaced Value) (Value, bool) {
	content := v.Reveal()
	rest, found := bytes.CutSuffix(content, []byte("\n"))
	if !found || !utf8.Valid(content) || bytes.IndexByte(content, 0) >= 0 || replaced.EndsLine() {
		return NewValue(bytes.Clone(content)), false
	}
	return NewValue(bytes.Clone(bytes.TrimSuffix(rest, []byte("\r")))), true
}
