package secrets

import (
	"bytes"
	"crypto/subtle"
	"path"
	"slices"
	"unicode/utf8"
)

// Locate returns the place of a value from Lookup. It returns false for a value of
// another set, and for an unknown value.
func (s *Set) Locate(v Value) (Location, bool) {
	for at, value := range s.values {
		if v.Known() && value.Known() && value.open() == v.open() {
			return at, true
		}
	}
	return Location{}, false
}

// VersionFile returns the file of keys that sets the version name (such as
// SV_db_access), or false.
func (s *Set) VersionFile(name string) (file string, found bool) {
	for _, file := range s.keyed {
		if _, found := s.versions[Location{file, name}]; found {
			return file, true
		}
	}
	return "", false
}

// OverrideFile returns the path of the secrets.override.enc in a folder, or "", and whether
// it has versions.
func (s *Set) OverrideFile(folder string) (file string, holdsVersions bool) {
	at := slices.Index(s.keyed, path.Join(folder, baseOverride))
	if at < 0 {
		return "", false
	}
	for version := range s.versions {
		holdsVersions = holdsVersions || version.File == s.keyed[at]
	}
	return s.keyed[at], holdsVersions
}

// Equal reports whether two known values have the same content.
func (v Value) Equal(other Value) bool {
	return v.Known() && other.Known() && subtle.ConstantTimeCompare(v.Reveal(), other.Reveal()) == 1
}

// Len returns the number of bytes of a known value.
func (v Value) Len() int { return len(v.Reveal()) }

// EndsLine reports whether the value ends with a line break.
func (v Value) EndsLine() bool { return bytes.HasSuffix(v.Reveal(), []byte("\n")) }

// EndsInReturn reports whether the value ends with the first half of a Windows line break, as the
// values of a dotenv file with such line breaks do.
func (v Value) EndsInReturn() bool { return bytes.HasSuffix(v.Reveal(), []byte("\r")) }

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
