// Package signers says who signed a commit or tag of git: it takes keyring files and signed
// bytes, and gives the signer, or refuses the object with the reason and with who may sign.
// It guarantees that nothing is accepted that a listed key, valid now, did not sign.
package signers

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/keyfile"
	"coin.internal/coin-agent/internal/oneline"
)

// Files name the keys of those who may sign.
type Files struct {
	OpenPGP []string // public keys, armored or not
	SSH     []string // allowed_signers files, as ssh-keygen reads them
}

// Object is a signed object of git.
type Object struct {
	Name      string // for messages, such as: commit 79f141c9f3
	Payload   []byte // what was signed
	Signature string // "" for none
	Email     string // of the committer or tagger
	Time      time.Time
}

// Key is a listed key.
type Key struct {
	Name    string // whose it is, and its fingerprint
	File    string
	Expires time.Time // zero for never
}

// Ring has the keys of those who may sign.
type Ring struct {
	openPGP openPGPRing
	ssh     sshRing
}

// maxObject bounds a signed object and its signature. git's own are much smaller.
const maxObject = 1 << 20

// Load reads the keys. A file that other users may write lists nobody: it is an error, as
// is one without a key.
func Load(files Files) (*Ring, error) {
	ring := &Ring{}
	for _, name := range files.OpenPGP {
		content, err := read(name)
		if err != nil {
			return nil, err
		}
		if err := ring.openPGP.add(name, content); err != nil {
			return nil, err
		}
	}
	for _, name := range files.SSH {
		content, err := read(name)
		if err != nil {
			return nil, err
		}
		if err := ring.ssh.add(name, content); err != nil {
			return nil, err
		}
	}
	return ring, nil
}

// read gives the content of a file that only its owner can change.
func read(name string) ([]byte, error) {
	return keyfile.Read(name, keyfile.Of{Keys: "the keys of signers", Setting: "policy.signers"})
}

// Keys lists the keys in the order of the files.
func (r *Ring) Keys() []Key { return append(r.openPGP.keys(), r.ssh.keys()...) }

// Verify gives the signer of an object. An error refuses the object.
func (r *Ring) Verify(o Object, now time.Time) (who string, err error) {
	signature := strings.TrimSpace(o.Signature)
	switch {
	case len(o.Payload)+len(o.Signature) > maxObject:
		return "", r.refuse("%s is larger than %d bytes", o.Name, maxObject)
	case signature == "":
		return "", r.refuse("%s is not signed", o.Name)
	case strings.HasPrefix(signature, "-----BEGIN PGP SIGNATURE-----"):
		who, err = r.openPGP.verify(o, now)
	case strings.HasPrefix(signature, "-----BEGIN SSH SIGNATURE-----"):
		who, err = r.ssh.verify(o, now)
	default:
		return "", r.refuse("%s has a signature that is neither OpenPGP nor SSH", o.Name)
	}
	if err != nil {
		return "", r.refuse("%s %w", o.Name, err)
	}
	return who, nil
}

// refuse says why an object is refused, and who may sign.
func (r *Ring) refuse(format string, args ...any) error {
	return fault.New(fault.Place{}, "push a commit or tag signed by "+r.who()+"; after a change of policy.signers: agent retry", format, args...)
}

// who names some of those who may sign.
func (r *Ring) who() string {
	const few = 5
	var names []string
	keys := r.Keys()
	for _, key := range keys[:min(few, len(keys))] {
		names = append(names, key.Name)
	}
	if len(keys) > few {
		return fmt.Sprintf("%s or %d more", strings.Join(names, ", "), len(keys)-few)
	}
	return strings.Join(names, " or ")
}

// day writes a time as a date.
func day(at time.Time) string { return at.UTC().Format(time.DateOnly) }

// said gives the text of an error of a parser, which may quote what the signature has.
func said(err error) string { return oneline.Cut(err.Error(), 200) }

// blank reports whether a text has no content.
func blank(text []byte) bool { return len(bytes.TrimSpace(text)) == 0 }
