package secrets

import (
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	"github.com/getsops/sops/v3/cmd/sops/formats"
	"github.com/getsops/sops/v3/logging"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/lazyregexp"
	"coin.internal/coin-agent/internal/oneline"
)

// maxFile is the maximum size of a SOPS file. A Swarm secret has at most 500 kB.
const maxFile = 4 << 20

const (
	hintDamaged = "restore it from an earlier commit, or check the output of sops -d --ignore-mac and encrypt it again; edit it only with sops"
	hintEncrypt = "encrypt it: sops -e -i "
	hintBinary  = "put the value into a separate file: sops -e --input-type binary, as secrets/<name>.enc"
)

// quiet disables the loggers of SOPS, which write to standard error and quote comments of
// files. It changes the global table of SOPS once, before the first file is read.
var quiet = sync.OnceFunc(func() {
	for _, logger := range logging.Loggers {
		logger.SetOutput(io.Discard)
	}
})

// document is one SOPS file, which may not be decrypted yet.
type document struct {
	path   string
	data   []byte
	format format
	store  sops.Store
	tree   sops.Tree
	keyed  bool // it is a file of keys
	sealed bool // open had no keys
	// encrypted has the paths of the values that are encrypted in the file, joined by
	// colons as SOPS does. open sets it.
	encrypted map[string]bool
	// plain has the paths of the texts that are not encrypted. If it is set, open continues
	// at those that should be encrypted, and lists them in readable.
	plain    map[string]bool
	readable []string
}

// sops gives the command line that has sops work on the file. All its names that end in .enc are binary files
// for sops, unless it is told otherwise.
func (d *document) sops(command string) string {
	if formats.FormatForPath(d.path) != formats.FormatFromString(string(d.format)) {
		command += " --input-type " + string(d.format)
		if !strings.HasPrefix(command, "updatekeys") { // it has no other flag
			command += " --output-type " + string(d.format)
		}
	}
	return "sops " + command + " " + d.path
}

// hintValue is the remedy for a value in plaintext: sops refuses to encrypt a file that is encrypted
// already, or encrypts it a second time.
func (d *document) hintValue() string {
	return "take it out, or restore the file from an earlier commit; then write it with: " + d.sops("edit") + " (and rotate it, because git keeps the plaintext)"
}

// parse reads a SOPS file. It returns nil for any other file.
func parse(file File) (*document, error) {
	quiet()
	if len(file.Data) > maxFile {
		return nil, fault.New(fault.Place{File: file.Path}, "split it: a Swarm secret has at most 500 kB", "the file is larger than %d bytes", maxFile)
	}
	kind := detect(file.Path, file.Data)
	if kind == formatNone {
		return nil, nil //nolint:nilnil // not a SOPS file, which the caller judges
	}
	line, err := kind.precheck(file.Data)
	if errors.Is(err, errKeys) {
		return nil, fault.New(fault.Place{File: file.Path}, "split the file", "%w", err)
	}
	doc := &document{path: file.Path, keyed: file.isKeyed(), data: file.Data, format: kind, store: kind.store(), encrypted: map[string]bool{}}
	if err == nil {
		doc.tree, err = doc.store.LoadEncryptedFile(file.Data)
	}
	if err != nil { // the error may quote the content
		return nil, fault.New(fault.Place{File: file.Path, Line: line}, hintDamaged, "the file is not valid SOPS %s", kind)
	}
	if err := doc.bounded(); err != nil {
		return nil, err
	}
	return doc, nil
}

// open decrypts the tree and checks the MAC. Without a ring, it checks that all values
// that should be encrypted are encrypted, and removes them from the tree.
func (d *document) open(ring *Keyring) error {
	if ring == nil {
		d.sealed = true
		_, err := d.walk(nil, sealer{})
		return err
	}
	key, err := ring.dataKey(d)
	if err != nil {
		return err
	}
	defer clear(key)
	return d.decryptWith(key, aes.NewCipher())
}

// decryptWith decrypts the tree with the data key and checks the MAC.
func (d *document) decryptWith(key []byte, cipher aes.Cipher) error {
	mac, err := d.walk(key, cipher)
	if err != nil {
		return err
	}
	recorded, err := cipher.Decrypt(d.tree.Metadata.MessageAuthenticationCode, key, d.tree.Metadata.LastModified.Format(time.RFC3339))
	if err != nil || recorded != mac {
		return fault.New(fault.Place{File: d.path}, hintDamaged,
			"the file was changed after its encryption: its content does not match its MAC")
	}
	return nil
}

// plaintexts gives the paths, joined as SOPS does, of the texts that are not encrypted.
func (d *document) plaintexts() map[string]bool {
	all := map[string]bool{}
	var walk func(path string, value any)
	walk = func(path string, value any) {
		switch value := value.(type) {
		case sops.TreeBranch:
			for _, item := range value {
				if key, ok := item.Key.(string); ok {
					walk(strings.TrimPrefix(path+":"+key, ":"), item.Value)
				}
			}
		case []any:
			for _, item := range value {
				walk(path, item)
			}
		case string:
			all[path] = all[path] || value != "" && !encryptedForm().MatchString(value)
		}
	}
	for _, branch := range d.tree.Branches {
		walk("", branch)
	}
	return all
}

// hasValues reports whether an open document has values that are not empty, and hasCiphertext whether
// values are encrypted in the file.
func hasValues(d *document) bool {
	return slices.ContainsFunc(leaves(d.tree.Branches), func(one leaf) bool { return one.value != nil && one.value != "" })
}

func hasCiphertext(d *document) bool {
	return slices.Contains(slices.Collect(maps.Values(d.encrypted)), true)
}

// isReadable reports whether an open document has values, and no rule of the file encrypts one.
func isReadable(d *document) bool { return hasValues(d) && !hasCiphertext(d) }

// isEmpty reports whether an open document is a file without content. SOPS does not encrypt that.
func isEmpty(d *document) bool {
	return d.format == formatBinary && !hasValues(d) && !hasCiphertext(d)
}

func (d *document) walk(key []byte, cipher sops.Cipher) (mac string, err error) {
	tracing := &tracer{Cipher: cipher, document: d}
	mac, err = d.tree.Decrypt(key, tracing)
	switch {
	case err == nil:
		return mac, tracing.comments()
	case tracing.failure != nil:
		return "", tracing.failure()
	case strings.Contains(err.Error(), "Expected encrypted value as string"):
		return "", fault.New(fault.Place{File: d.path}, d.hintValue(), "a value that should be encrypted is in plaintext")
	default:
		return "", fault.New(fault.Place{File: d.path}, hintDamaged, "the file does not have the layout of SOPS")
	}
}

// tracer records the encrypted values. It replaces errors of a cipher, which quote the
// value, by faults that name it.
type tracer struct {
	sops.Cipher
	document      *document
	failure       func() error
	changed, open bool // an encrypted value failed, or an unencrypted one
}

// comments returns the failures of comments. SOPS ignores them: it treats a comment that
// does not decrypt as unencrypted, and its MAC does not cover comments.
func (t *tracer) comments() error {
	place := fault.Place{File: t.document.path}
	switch {
	case t.changed:
		return fault.New(place, hintDamaged, "a comment does not decrypt: it was changed or moved after its encryption")
	case t.open && !t.document.keyed: // comments of a file of keys are not read
		return fault.New(place, "edit the file only with sops, which encrypts comments, or encrypt it again", "a comment is in plaintext, but the other comments are encrypted")
	}
	return nil
}

var encryptedForm = lazyregexp.New(`^ENC\[AES256_GCM,data:.+,iv:.+,tag:.+,type:[a-z]+\]$`)

func (t *tracer) Decrypt(ciphertext string, key []byte, additional string) (any, error) {
	path := strings.TrimSuffix(additional, ":")
	t.document.encrypted[path] = ciphertext != "" || t.document.encrypted[path]
	if ciphertext == "" || encryptedForm().MatchString(ciphertext) { // SOPS would ignore a text after the form
		plain, err := t.Cipher.Decrypt(ciphertext, key, additional)
		if err == nil {
			return plain, nil
		}
	}
	name, _, _ := strings.Cut(path, ":")
	place := func() fault.Place { return fault.Place{File: t.document.path, Line: keyLine(t.document.data, name)} }
	switch {
	case encryptedForm().MatchString(ciphertext):
		t.changed = true
		t.failure = func() error {
			return fault.New(place(), hintDamaged, "the value of %q does not decrypt: it was changed or moved after its encryption", oneline.Cut(name, 80))
		}
	case t.document.plain[path]:
		t.document.readable = append(t.document.readable, path)
		return "", nil
	default:
		t.open = true
		t.failure = func() error {
			return fault.New(place(), t.document.hintValue(), plaintextValue, oneline.Cut(name, 80))
		}
	}
	return nil, errSealed
}

const plaintextValue = "the value of %q should be encrypted, but is in plaintext"

// sealer is a cipher without a key. It replaces texts in the form of encrypted values by
// empty texts, and refuses all others.
type sealer struct{}

var errSealed = errors.New("no key")

func (sealer) Encrypt(any, []byte, string) (string, error) { return "", errSealed }

func (sealer) Decrypt(ciphertext string, _ []byte, _ string) (any, error) {
	if ciphertext != "" && !encryptedForm().MatchString(ciphertext) {
		return nil, errSealed
	}
	return "", nil
}
