package secrets

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/lazyregexp"
)

// Ciphertexts returns, without a key, digests of the ciphertexts in a SOPS file: one for
// each encrypted top-level key of a file of keys, including versions. For a whole file,
// and for a file of keys that is encrypted as a whole, it returns one digest under "".
// SOPS keeps the ciphertext of an unchanged value until the file gets another data key.
// Ciphertexts returns nil for a file that is not encrypted.
func Ciphertexts(file File) (map[string]string, error) {
	doc, err := parse(file)
	if err != nil || doc == nil {
		return nil, err
	}
	depth := 1 // of the key in a leaf's path, after the number of the document
	if doc.format == formatINI {
		depth = 2
	}
	texts := map[string]string{}
	for _, one := range leaves(doc.tree.Branches) {
		text, ok := one.value.(string)
		if !ok || !encryptedForm().MatchString(text) {
			continue
		}
		key := ""
		if parts := strings.Split(one.path, "\x00"); file.isKeyed() && doc.format != formatBinary && depth < len(parts) {
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

// versionKey matches the keys of versions, which are not secrets.
var versionKey = lazyregexp.New(`^(export )?SV_|_VERSION$`)

// IsSOPS reports whether a file has the metadata of SOPS. It may still be malformed.
func IsSOPS(file File) bool { return detect(file.Path, file.Data) != formatNone }

// Encrypted reports whether a file is encrypted by SOPS. With all, only versions and
// empty values may be unencrypted.
func Encrypted(file File, all bool) bool {
	doc, err := parse(file)
	if err != nil || doc == nil {
		return false
	}
	for _, one := range leaves(doc.tree.Branches) {
		text, isText := one.value.(string)
		encrypted := isText && (text == "" || encryptedForm().MatchString(text)) || one.value == nil
		if all && !encrypted && !versionKey().MatchString(one.key) {
			return false
		}
	}
	return true
}
