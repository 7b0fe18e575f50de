package deploy

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
)

// telling is how many consecutive characters of a secret must not be shown.
const telling = 8

// errWithheld replaces an error of the engine that must not be shown.
var errWithheld = errors.New("the engine refused it; its message is withheld because it contains the secret")

// withhold gives the engine's error about a secret, or errWithheld if the error contains
// a part of the content: engines and proxies may answer with the request that they got.
func withhold(err error, content []byte) error {
	if err == nil || !quotes(err.Error(), content) {
		return err
	}
	return errWithheld
}

// quotes tells whether a text contains a part of the content, in plain text, base64 or
// hexadecimal.
func quotes(text string, content []byte) bool {
	for _, form := range []string{string(content), base64.StdEncoding.EncodeToString(content), hex.EncodeToString(content)} {
		if len(form) < telling {
			if form != "" && strings.Contains(text, form) {
				return true
			}
			continue
		}
		for start := 0; start+telling <= len(text); start++ {
			if strings.Contains(form, text[start:start+telling]) {
				return true
			}
		}
	}
	return false
}
