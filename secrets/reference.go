package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/lazyregexp"
	"coin.internal/coin-agent/internal/oneline"
)

// referencePrefix starts each value that is a reference, and no other value.
const referencePrefix = "vault:"

// referenceHint shows the form of a reference.
const referenceHint = "write vault:MOUNT/data/PATH#KEY@VERSION, such as vault:kv/data/coin/db#password@7; @auto is the newest version when the commit is planned"

// Reference is a value that is in Vault: a key of a version of a secret in a KV version 2
// engine. It is not a secret. It names no server.
type Reference struct {
	Path    string // of the API, such as kv/data/coin/db
	Key     string
	Version int  // 0 for a version that is not known yet
	Auto    bool // the newest version when the commit is planned
}

// String returns the reference as the file has it.
func (r Reference) String() string {
	version := strconv.Itoa(r.Version)
	if r.Auto {
		version = autoVersion
	}
	return referencePrefix + r.Path + "#" + r.Key + "@" + version
}

const autoVersion = "auto"

// referenceForm has neither a query, an escape nor a segment such as "..".
var referenceForm = lazyregexp.New(`^vault:([A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)*)#([A-Za-z0-9_.][A-Za-z0-9_. -]*)@(auto|[1-9][0-9]{0,8})$`)

// isReference reports whether a value begins like a reference.
func isReference(content []byte) bool {
	return bytes.HasPrefix(unquote(bytes.TrimSpace(content)), []byte(referencePrefix))
}

// parseReference reads a value that begins like a reference. Its error does not show the
// value, which can be a secret.
func parseReference(content []byte) (Reference, error) {
	found := referenceForm().FindSubmatch(unquote(bytes.TrimSpace(content)))
	if found == nil {
		return Reference{}, fmt.Errorf("begins with %s, but is not a reference to a secret in Vault", referencePrefix)
	}
	reference := Reference{Path: string(found[1]), Key: string(found[2]), Auto: string(found[3]) == autoVersion}
	if !strings.Contains(reference.Path, "/data/") {
		return Reference{}, errDynamic
	}
	if !reference.Auto {
		reference.Version, _ = strconv.Atoi(string(found[3])) // nine digits at most
	}
	return reference, nil
}

// errDynamic is why a path that is not one of data is refused: the engine of a dynamic secret has
// no versions.
var errDynamic = errors.New("refers to a path in Vault that is not one of data in a KV version 2 engine: a dynamic secret, such as database/creds, " +
	"is another login at each read and ends with its lease, but a secret in Swarm stays as it is")

// held is a reference in a file of keys.
type held struct {
	to    Reference
	place fault.Place
}

// addReference adds the value of a key that is in Vault. The reference may be in plaintext,
// so that a diff in git shows the version.
func (s *Set) addReference(place fault.Place, at Location, content []byte) error {
	reference, err := parseReference(content)
	if err != nil {
		return fault.New(place, referenceHint, "the value of %s %w", oneline.Cut(at.Key, 80), err)
	}
	s.values[at], s.references[at] = sealed(), held{reference, place}
	return nil
}

// Reference returns where Lookup's value is in Vault, with the line that says so; false if it
// is in the files.
func (s *Set) Reference(name, file string) (Reference, fault.Place, bool) {
	at, _ := s.Find(name, file)
	found, ok := s.references[at]
	return found.to, found.place, ok
}

// References lists the references that Lookup can return, sorted and each once. Those that
// secrets.override.enc replaces are not in it.
func (s *Set) References() []Reference {
	var all []Reference
	for _, at := range s.referenced() {
		if one := s.references[at].to; !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	return all
}

// referenced lists the places of these references, sorted by path and version.
func (s *Set) referenced() []Location {
	var all []Location
	for at := range s.references {
		if first := slices.IndexFunc(s.keyed, func(file string) bool { _, ok := s.values[Location{file, at.Key}]; return ok }); s.keyed[first] == at.File {
			all = append(all, at)
		}
	}
	slices.SortFunc(all, func(a, b Location) int { return compareHeld(s.references[a], s.references[b]) })
	return all
}
