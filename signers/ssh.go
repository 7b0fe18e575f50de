package signers

import (
	"bytes"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"coin.internal/coin-agent/internal/fault"
)

// namespace is that of git's signatures.
const namespace = "git"

// sshRing has the lines of allowed_signers files.
type sshRing struct {
	lines []allowed
}

// allowed is a line of an allowed_signers file: a key, and what it may sign.
type allowed struct {
	principals []string // patterns of e-mail addresses
	namespaces []string // patterns; nil for any
	from, to   time.Time
	key        ssh.PublicKey
	file       string
}

// add reads an allowed_signers file.
func (r *sshRing) add(name string, content []byte) error {
	before := len(r.lines)
	var faults []error
	for i, line := range bytes.Split(content, []byte("\n")) {
		if line = bytes.TrimSpace(line); len(line) == 0 || line[0] == '#' {
			continue
		}
		one, err := parseAllowed(string(line))
		if err != nil {
			faults = append(faults, fault.New(fault.Place{File: name, Line: i + 1}, fault.Hint(err), "%w", err))
			continue
		}
		one.file = name
		r.lines = append(r.lines, one)
	}
	if len(faults) == 0 && len(r.lines) == before {
		faults = append(faults, fault.New(fault.Place{File: name}, "write a line such as: ada@example.com ssh-ed25519 AAAA…", "the file has no SSH key"))
	}
	return errors.Join(faults...)
}

// parseAllowed reads a line: principals, options, and the key.
func parseAllowed(line string) (allowed, error) {
	const form = "write a line such as: ada@example.com namespaces=\"git\" ssh-ed25519 AAAA…"
	end := strings.IndexAny(line, " \t")
	principals, rest := line[:max(end, 0)], line[max(end, 0):]
	if quoted, found := strings.CutPrefix(line, `"`); found {
		principals, rest, _ = strings.Cut(quoted, `"`)
	}
	key, _, options, after, err := ssh.ParseAuthorizedKey([]byte(strings.TrimSpace(rest)))
	if err != nil || !blank(after) {
		return allowed{}, fault.New(fault.Place{}, form, "the line does not have principals and an SSH key")
	}
	one := allowed{key: key}
	if one.principals, err = patterns(principals); err != nil {
		return one, err
	}
	switch key := key.(type) {
	case *ssh.Certificate:
		return one, fault.New(fault.Place{}, "list the key itself", "certificates are not supported")
	case ssh.CryptoPublicKey:
		const least = 2048
		if plain, ok := key.CryptoPublicKey().(*rsa.PublicKey); ok && plain.N.BitLen() < least {
			return one, fault.New(fault.Place{}, "list a key of ssh-keygen -t ed25519", "the RSA key has less than %d bits", least)
		}
	}
	if key.Type() == "ssh-dss" {
		return one, fault.New(fault.Place{}, "list a key of ssh-keygen -t ed25519", "DSA keys are not supported")
	}
	for _, option := range options {
		if err := one.option(option); err != nil {
			return one, err
		}
	}
	return one, nil
}

// option reads an option of a line. One that is not understood could be a restriction.
func (a *allowed) option(text string) (err error) {
	name, value, _ := strings.Cut(text, "=")
	value = strings.Trim(value, `"`)
	switch strings.ToLower(name) {
	case "namespaces":
		a.namespaces, err = patterns(value)
	case "valid-after":
		a.from, err = moment(value)
	case "valid-before":
		a.to, err = moment(value)
	case "cert-authority":
		err = fault.New(fault.Place{}, "list the keys themselves", "certificates are not supported: cert-authority")
	default:
		err = fault.New(fault.Place{}, "the options are namespaces, valid-after and valid-before", "unknown option %q", name)
	}
	return err
}

// patterns reads a list of patterns with * and ?, as OpenSSH has them; ! refuses what
// matches.
func patterns(text string) ([]string, error) {
	list := strings.Split(text, ",")
	for _, one := range list {
		if strings.TrimPrefix(one, "!") == "" || strings.ContainsAny(one, `[]\"`) {
			return nil, fault.New(fault.Place{}, `write patterns such as ada@example.com,*@team.example.com`, "%q is not a list of patterns", text)
		}
	}
	return list, nil
}

// matches reports whether a text matches one of the patterns, and none that starts with !.
func matches(patterns []string, text string) bool {
	found := false
	for _, pattern := range patterns {
		pattern, not := strings.CutPrefix(pattern, "!")
		if hit, err := path.Match(pattern, text); err != nil || !hit {
			continue
		}
		if not {
			return false
		}
		found = true
	}
	return found
}

// moment reads a time as ssh-keygen does: in the zone of the machine, unless it ends with
// Z.
func moment(text string) (time.Time, error) {
	zone := time.Local
	digits, utc := strings.CutSuffix(text, "Z")
	if utc {
		zone = time.UTC
	}
	for _, form := range []string{"20060102", "200601021504", "20060102150405"} {
		if at, err := time.ParseInLocation(form, digits, zone); err == nil && len(form) == len(digits) {
			return at, nil
		}
	}
	return time.Time{}, fault.New(fault.Place{}, "write it as 20261231 or 20261231235959Z", "%q is not a time", text)
}

// String names the owner and the key.
func (a allowed) String() string {
	return fmt.Sprintf("%s (%s)", strings.Join(a.principals, ","), ssh.FingerprintSHA256(a.key))
}

func (r *sshRing) keys() []Key {
	keys := make([]Key, 0, len(r.lines))
	for _, one := range r.lines {
		keys = append(keys, Key{Name: one.String(), File: one.file, Expires: one.to})
	}
	return keys
}

// verify gives the signer; an error continues a sentence that starts with the object.
func (r *sshRing) verify(o Object, now time.Time) (string, error) {
	block, after := pem.Decode([]byte(o.Signature))
	if block == nil || block.Type != sshsig.PEMType || !blank(after) {
		return "", errors.New("has an SSH signature that cannot be read: it is not one block")
	}
	signature, err := sshsig.ParseSignature(block.Bytes)
	if err != nil {
		return "", fmt.Errorf("has an SSH signature that cannot be read: %s", said(err))
	}
	var lines []allowed
	for _, one := range r.lines {
		if bytes.Equal(one.key.Marshal(), signature.PublicKey.Marshal()) {
			lines = append(lines, one)
		}
	}
	if len(lines) == 0 {
		return "", fmt.Errorf("is signed by the SSH key %s, which policy.signers does not list", ssh.FingerprintSHA256(signature.PublicKey))
	}
	if signature.Signature.Format == ssh.KeyAlgoRSA { // which is over SHA-1
		return "", fmt.Errorf("has an SSH signature of %s with the weak algorithm %s", lines[0], ssh.KeyAlgoRSA)
	}
	if err := sshsig.Verify(bytes.NewReader(o.Payload), signature, lines[0].key, signature.HashAlgorithm, namespace); err != nil {
		return "", fmt.Errorf("has an invalid signature of %s: %s", lines[0], said(err))
	}
	var reasons []string
	for _, one := range lines {
		reason := one.refuses(o, now)
		if reason == "" {
			return one.String(), nil
		}
		reasons = append(reasons, fmt.Sprintf("is signed by %s, %s", one, reason))
	}
	return "", errors.New(strings.Join(reasons, "; "))
}

// refuses says why the line does not let its key sign the object; "" if it does. The key must
// be valid now and at the time that the object gives: a user who has an old key chooses
// that time.
func (a allowed) refuses(o Object, now time.Time) string {
	switch {
	case a.namespaces != nil && !matches(a.namespaces, namespace):
		return "whose line does not list the namespace git"
	case !a.from.IsZero() && (now.Before(a.from) || o.Time.Before(a.from)):
		return "whose key is valid only from " + day(a.from)
	case !a.to.IsZero() && (!now.Before(a.to) || !o.Time.Before(a.to)):
		return "whose key was valid until " + day(a.to)
	case !matches(a.principals, o.Email):
		return fmt.Sprintf("but its committer or tagger is %q", o.Email)
	}
	return ""
}
