package secrets

import (
	"errors"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	"github.com/getsops/sops/v3/logging"

	"coin.internal/coin-agent/internal/fault"
)

// maxFile bounds a SOPS file. A Swarm secret holds at most 500 kB.
const maxFile = 4 << 20

const (
	hintDamaged = "change it with sops only; take it from an earlier commit, or check the output of sops -d --ignore-mac and encrypt that anew"
	hintEncrypt = "encrypt it: sops -e -i "
)

// quiet stops the loggers that SOPS keeps for itself: they write to standard
// error, and some lines quote comments of the file. SOPS offers no other way
// than its global table; it is changed once, before the first file is read.
var quiet = sync.OnceFunc(func() {
	for _, logger := range logging.Loggers {
		logger.SetOutput(io.Discard)
	}
})

// document is one SOPS file, read but not necessarily decrypted.
type document struct {
	path   string
	data   []byte
	format format
	store  sops.Store
	tree   sops.Tree
	// encrypted holds the paths of the values that stand encrypted in the
	// file, joined by colons as SOPS does. It is filled by decrypt and seal.
	encrypted map[string]bool
}

// parse reads a SOPS file. It gives nil for a file that is not one.
func parse(file File) (*document, error) {
	quiet()
	if len(file.Data) > maxFile {
		return nil, fault.New(fault.Place{File: file.Path}, "a Swarm secret holds at most 500 kB", "the file is larger than %d bytes", maxFile)
	}
	kind := detect(file.Path, file.Data)
	if kind == formatNone {
		return nil, nil //nolint:nilnil // not a SOPS file, which is no error yet
	}
	line, err := kind.precheck(file.Data)
	doc := &document{path: file.Path, data: file.Data, format: kind, store: kind.store(), encrypted: map[string]bool{}}
	if err == nil {
		doc.tree, err = doc.store.LoadEncryptedFile(file.Data)
	}
	if err != nil { // its words may quote the content
		return nil, fault.New(fault.Place{File: file.Path, Line: line}, hintDamaged, "the file is not well-formed as SOPS %s", kind)
	}
	return doc, nil
}

// decrypt turns the tree into plaintext and checks the MAC.
func (d *document) decrypt(ring *Keyring) error {
	key, err := ring.dataKey(d.path, &d.tree.Metadata)
	if err != nil {
		return err
	}
	defer clear(key)
	cipher := aes.NewCipher()
	mac, err := d.walk(key, cipher)
	if err != nil {
		return err
	}
	modified := d.tree.Metadata.LastModified.Format(time.RFC3339)
	recorded, err := cipher.Decrypt(d.tree.Metadata.MessageAuthenticationCode, key, modified)
	if err != nil || recorded != mac {
		return fault.New(fault.Place{File: d.path}, hintDamaged,
			"the file was changed after it was encrypted: its content does not match its MAC")
	}
	return nil
}

// seal checks, without a key, that what should be encrypted is, and leaves
// nothing of it in the tree.
func (d *document) seal() error {
	_, err := d.walk(nil, sealer{})
	return err
}

func (d *document) walk(key []byte, cipher sops.Cipher) (mac string, err error) {
	tracing := &tracer{Cipher: cipher, document: d}
	mac, err = d.tree.Decrypt(key, tracing)
	switch {
	case err == nil:
		return mac, tracing.comments()
	case tracing.failure != nil:
		return "", tracing.failure
	case strings.Contains(err.Error(), "Expected encrypted value as string"):
		return "", fault.New(fault.Place{File: d.path}, hintEncrypt+d.path, "a value that should be encrypted stands in plaintext")
	default:
		return "", fault.New(fault.Place{File: d.path}, hintDamaged, "the file is not laid out as SOPS does it")
	}
}

// tracer notes which values stand encrypted, and turns a cipher's errors, which
// quote the value, into faults that name it.
type tracer struct {
	sops.Cipher
	document      *document
	failure       error
	changed, open bool // whether something failed that is encrypted, or is not
}

// comments judges what failed where SOPS went on: it takes a comment that does
// not decrypt for one that never was encrypted, and no MAC covers comments.
func (t *tracer) comments() error {
	place := fault.Place{File: t.document.path}
	switch {
	case t.changed:
		return fault.New(place, hintDamaged, "a comment does not decrypt: it was changed or moved after it was encrypted")
	case t.open && !isKeyed(t.document.path): // comments of a file of keys are not read
		return fault.New(place, "change it with sops only, which encrypts comments; or encrypt it anew", "a comment stands in plaintext among what is encrypted")
	}
	return nil
}

var encryptedForm = regexp.MustCompile(`^ENC\[AES256_GCM,data:.+,iv:.+,tag:.+,type:[a-z]+\]$`)

func (t *tracer) Decrypt(ciphertext string, key []byte, additional string) (any, error) {
	path := strings.TrimSuffix(additional, ":")
	t.document.encrypted[path] = ciphertext != "" || t.document.encrypted[path]
	if ciphertext == "" || encryptedForm.MatchString(ciphertext) { // SOPS would ignore what follows the form
		plain, err := t.Cipher.Decrypt(ciphertext, key, additional)
		if err == nil {
			return plain, nil
		}
	}
	name, _, _ := strings.Cut(path, ":")
	name = oneLine(name, 80)
	place := fault.Place{File: t.document.path, Line: keyLine(t.document.data, name)}
	if encryptedForm.MatchString(ciphertext) {
		t.changed = true
		t.failure = fault.New(place, hintDamaged, "the value of %q does not decrypt: it was changed or moved after it was encrypted", name)
	} else {
		t.open = true
		t.failure = fault.New(place, hintEncrypt+t.document.path, "the value of %q should be encrypted, but stands in plaintext", name)
	}
	return nil, t.failure
}

// sealer stands for a cipher without a key: it admits what has the form of an
// encrypted value, and gives an empty one for it.
type sealer struct{}

var errSealed = errors.New("no key")

func (sealer) Encrypt(any, []byte, string) (string, error) { return "", errSealed }

func (sealer) Decrypt(ciphertext string, _ []byte, _ string) (any, error) {
	if ciphertext != "" && !encryptedForm.MatchString(ciphertext) {
		return nil, errSealed
	}
	return "", nil
}
