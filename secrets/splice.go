package secrets

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// splice writes the changes into the lines of the file before: it replaces ciphertexts
// and numbers, and adds lines. It returns false if the file's layout does not allow it.
func (d *document) splice(before *document) ([]byte, bool) {
	if before == nil {
		return nil, false
	}
	text := bytes.Clone(before.data)
	old, changed := leaves(before.tree.Branches), leaves(d.tree.Branches)
	ok := true
	for i, one := range changed {
		switch {
		case i < len(old) && old[i] == one:
		case i < len(old) && old[i].path == one.path:
			text, ok = replaceScalar(text, old[i], one)
		case len(changed) > len(old) && i > 0:
			text, ok = insertAfter(text, changed[i-1], one)
			old = append(old[:i:i], append([]leaf{one}, old[i:]...)...)
		default:
			ok = false
		}
		if !ok {
			return nil, false
		}
	}
	if len(old) != len(changed) {
		return nil, false
	}
	text, ok = replaceOnce(text, before.tree.Metadata.MessageAuthenticationCode, d.tree.Metadata.MessageAuthenticationCode)
	if !ok {
		return nil, false
	}
	modified := regexp.MustCompile(`(lastmodified["']?[ \t]*[:=][ \t]*["']?)` + regexp.QuoteMeta(before.tree.Metadata.LastModified.Format(time.RFC3339)))
	if len(modified.FindAllIndex(text, -1)) != 1 {
		return nil, false
	}
	return modified.ReplaceAll(text, []byte("${1}"+d.tree.Metadata.LastModified.Format(time.RFC3339))), true
}

func replaceOnce(text []byte, from, to string) ([]byte, bool) {
	if from == "" || bytes.Count(text, []byte(from)) != 1 {
		return nil, false
	}
	return bytes.Replace(text, []byte(from), []byte(to), 1), true
}

// replaceScalar replaces a ciphertext, or a plain scalar of a top-level key.
func replaceScalar(text []byte, from, to leaf) ([]byte, bool) {
	fromText, toText := fmt.Sprint(from.value), fmt.Sprint(to.value)
	if encryptedForm().MatchString(fromText) {
		if !encryptedForm().MatchString(toText) {
			return nil, false
		}
		return replaceOnce(text, fromText, toText)
	}
	form := scalarLine(from.key, fromText)
	if len(form.FindAllIndex(text, -1)) != 1 {
		return nil, false
	}
	return form.ReplaceAll(text, []byte("${1}${2}"+strings.ReplaceAll(toText, "$", "$$")+"${3}")), true
}

// insertAfter adds a line below the line of another scalar, in the same form.
func insertAfter(text []byte, above, added leaf) ([]byte, bool) {
	form := scalarLine(above.key, fmt.Sprint(above.value))
	found := form.FindAllSubmatchIndex(text, -1)
	if len(found) != 1 {
		return nil, false
	}
	at := found[0]
	part := func(n int) string { return string(text[at[2*n]:at[2*n+1]]) }
	tail, _, _ := strings.Cut(part(3), "#")
	line := "\n" + strings.Replace(part(1), above.key, added.key, 1) + part(2) + fmt.Sprint(added.value) + strings.TrimRight(tail, " \t")
	return append(append(bytes.Clone(text[:at[1]]), line...), text[at[1]:]...), true
}

// scalarLine matches the line that sets a key to a scalar in any format: the text before
// the scalar, an opening quote, the scalar, and the rest.
func scalarLine(key, value string) *regexp.Regexp {
	return regexp.MustCompile(`(?m)^([ \t]*(?:export )?["']?` + regexp.QuoteMeta(key) + `["']?[ \t]*[:=][ \t]*)(["']?)` +
		regexp.QuoteMeta(value) + `(["']?,?[ \t]*(?:#.*)?)$`)
}
