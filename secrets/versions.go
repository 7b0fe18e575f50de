package secrets

import (
	"bytes"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/lazyregexp"
	"coin.internal/coin-agent/internal/oneline"
)

const (
	versionPrefix  = "SV_"
	versionSuffix  = "_VERSION"
	autoVersionKey = "auto_version_key"
	minAutoKey     = 16
)

// ErrSealed is the cause of errors about values that were read without keys.
var ErrSealed = errors.New("the content is unknown, because it was read without a key")

// versionName returns the SV_ name that a key sets: SV_x, or SV_x for x_VERSION.
func versionName(key string) (string, bool) {
	if len(key) > len(versionPrefix) && strings.HasPrefix(key, versionPrefix) {
		return key, true
	}
	if name := strings.TrimSuffix(key, versionSuffix); name != key && name != "" {
		return versionPrefix + name, true
	}
	return "", false
}

var versionForm = lazyregexp.New(`^[A-Za-z0-9_.-]+$`)

// addVersion adds a version, which becomes part of an object's name. It refuses other
// texts and does not show them, because they may be secrets under the wrong key.
func (s *Set) addVersion(place func() fault.Place, at Location, one entry) error {
	text := ""
	if one.state != entrySealed {
		text = string(unquote(bytes.TrimSuffix(one.content, []byte("\r")))) // of a file with Windows line breaks
		if !versionForm().MatchString(text) {
			return fault.New(place(), "write a plain version such as 3, or auto", "the version %s has characters other than letters, digits, '.', '_' and '-'", oneline.Cut(one.key, 80))
		}
	}
	if earlier, ok := s.versions[at]; ok && earlier != text {
		return fault.New(place(), "keep one of the two spellings", "the version %s is set to two different values, as %s and as %s",
			at.Key, at.Key, strings.TrimPrefix(at.Key, versionPrefix)+versionSuffix)
	}
	s.versions[at] = text
	return nil
}

// unquote removes the quotes that a shell would remove.
func unquote(text []byte) []byte {
	for _, quote := range []string{`"`, `'`} {
		if inner, ok := bytes.CutPrefix(text, []byte(quote)); ok && bytes.HasSuffix(inner, []byte(quote)) {
			return inner[:len(inner)-1]
		}
	}
	return text
}

// Versions returns the versions that the files set, by SV_ name. Those in
// secrets.override.enc take precedence. It omits unknown versions: SealedVersions has
// their names.
func (s *Set) Versions() map[string]string {
	versions := allVersions(s)
	maps.DeleteFunc(versions, func(_, version string) bool { return version == "" })
	return versions
}

// SealedVersions lists the SV_ names of encrypted versions that were read without a key,
// sorted.
func (s *Set) SealedVersions() []string {
	versions := allVersions(s)
	maps.DeleteFunc(versions, func(_, version string) bool { return version != "" })
	return slices.Sorted(maps.Keys(versions))
}

func allVersions(s *Set) map[string]string {
	versions := map[string]string{}
	for _, file := range slices.Backward(s.keyed) {
		for at, version := range s.versions {
			if at.File == file {
				versions[at.Key] = version
			}
		}
	}
	return versions
}

// AutoVersion derives the version of a secret from its content, for SV_x=auto. A changed
// content gives another version. The version reveals nothing about the content without
// the key auto_version_key in the node's files, which one of them may have: a file that is
// added does not replace the key of another. If the content is unknown, the error wraps
// ErrSealed.
func (s *Set) AutoVersion(name string, v Value) (string, error) {
	key, held, file := autoKey(s)
	place := fault.Place{File: file}
	for _, other := range s.keyed {
		if _, twice := s.values[Location{other, autoVersionKey}]; twice && other != file {
			return "", fault.New(place, "keep the one in "+other, "the key %s is in this file and in %s", autoVersionKey, other)
		}
	}
	if !v.Known() || held && !key.Known() {
		return "", fault.New(place, "set the agent's keys", "the version of the secret %q depends on its content: %w", name, ErrSealed)
	}
	if len(key.Reveal()) < minAutoKey {
		return "", fault.New(place, "add "+autoVersionKey+" with a random text to "+baseSecrets+", such as the output of: openssl rand -hex 32",
			"the version of the secret %q is auto, which requires the key %s with at least %d bytes", name, autoVersionKey, minAutoKey)
	}
	sum := digest(key.Reveal(), "coin-agent secret version 1", []byte(name), v.Reveal())
	return hex.EncodeToString(sum)[:12], nil
}

func autoKey(s *Set) (key Value, held bool, file string) {
	for _, file = range s.keyed {
		if value, ok := s.values[Location{file, autoVersionKey}]; ok {
			return value, true, file
		}
	}
	return Value{}, len(s.opaque) > 0, file
}
