package gitlab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"unicode"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/privatefile"
)

// tokenFile supplies the token to the library. It reads the file for every request, so that
// a new token is used at once.
type tokenFile struct {
	path string

	mu   sync.Mutex
	last string // the last token, which scrub removes
}

// Init is required by the library and does nothing.
func (f *tokenFile) Init(context.Context, *gl.Client) error { return nil }

// Header returns the credentials of a request to the library.
func (f *tokenFile) Header(context.Context) (string, string, error) {
	token, err := f.read()
	return gl.AccessTokenHeaderName, token, err
}

const maxToken = 4096

// errToken is the cause of errors about the token file. The operator must correct it, like
// a token that GitLab refuses.
var errToken = errors.New("the token file cannot be used")

func (f *tokenFile) read() (string, error) {
	content, err := privatefile.Read(f.path, "the token file", errToken)
	if err != nil {
		return "", err
	}
	token := string(bytes.TrimSpace(content))
	if len(token) > maxToken || strings.ContainsFunc(token, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsGraphic(r) || unicode.IsSpace(r) }) {
		return "", &fault.Error{
			Place: fault.Place{File: f.path}, Message: "the token file does not contain a token",
			Hint: "write only the token into the file, on one line", Err: errToken,
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = token
	return token, nil
}

// fingerprint changes when the file's content or its error changes.
func (f *tokenFile) fingerprint() [sha256.Size]byte {
	token, err := f.read()
	if err != nil {
		token = "\x00" + err.Error()
	}
	return sha256.Sum256([]byte(token))
}

// scrub removes the token from a text of another system.
func (f *tokenFile) scrub(text string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last == "" {
		return text
	}
	return strings.ReplaceAll(text, f.last, "[redacted]")
}
