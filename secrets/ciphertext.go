package secrets

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Ciphertexts tells, without a key, what stands encrypted in a SOPS file: a digest
// of the ciphertext of each top-level key of a file of keys, versions among them;
// of a whole file, and of a file of keys whose keys cannot be seen, one digest
// under "". SOPS keeps the ciphertext of what does not change, until the file gets
// another data key. It gives nil for a file that SOPS did not encrypt.
func Ciphertexts(file File) (map[string]string, error) {
	doc, err := parse(file)
	if err != nil || doc == nil {
		return nil, err
	}
	depth := 1 // of the key in a leaf's path, after the document's number
	if doc.format == formatINI {
		depth = 2
	}
	texts := map[string]string{}
	for _, one := range leaves(doc.tree.Branches) {
		text, ok := one.value.(string)
		if !ok || !encryptedForm.MatchString(text) {
			continue
		}
		key := ""
		if parts := strings.Split(one.path, "\x00"); isKeyed(file.Path) && doc.format != formatBinary && depth < len(parts) {
			key = strings.TrimPrefix(parts[depth], "export ")
		}
		texts[key] += one.path + "\x00" + text + "\n"
	}
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		sum := sha256.Sum256([]byte(texts[key]))
		texts[key] = hex.EncodeToString(sum[:])
	}
	return texts, nil
}

// versionKey is how the keys of versions are named, which are no secrets.
var versionKey = regexp.MustCompile(`^(export )?SV_|_VERSION$`)

// Encrypted tells whether SOPS encrypted a file; with all, that it left nothing in
// the clear either but versions and what is empty.
func Encrypted(file File, all bool) bool {
	doc, err := parse(file)
	if err != nil || doc == nil {
		return false
	}
	for _, one := range leaves(doc.tree.Branches) {
		text, isText := one.value.(string)
		encrypted := isText && (text == "" || encryptedForm.MatchString(text)) || one.value == nil
		if all && !encrypted && !versionKey.MatchString(one.key) {
			return false
		}
	}
	return true
}
