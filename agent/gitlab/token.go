package gitlab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"unicode"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"coin.internal/coin-agent/internal/fault"
)

// tokenFile gives the token to the library. It reads the file anew for every
// request, so a replaced token counts at once.
type tokenFile struct {
	path string

	mu   sync.Mutex
	last string // the token read last, to keep it out of what a server echoes
}

// Init is the library's hook; there is nothing to prepare.
func (f *tokenFile) Init(context.Context, *gl.Client) error { return nil }

// Header is the library's way to ask for the credentials of a request.
func (f *tokenFile) Header(context.Context) (string, string, error) {
	token, err := f.read()
	return gl.AccessTokenHeaderName, token, err
}

// maxToken bounds what is read from a file that is named by mistake.
const maxToken = 4096

func (f *tokenFile) read() (string, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return "", f.fault("write the token into it with mode 600, or name the right file", "open token file %s: %w", f.path, plain(err))
	}
	defer file.Close() //nolint:errcheck // only read
	info, err := file.Stat()
	if err != nil {
		return "", f.fault("", "look at token file %s: %w", f.path, plain(err))
	}
	if !info.Mode().IsRegular() {
		return "", f.fault("name a file that holds only the token", "token file %s is not a regular file", f.path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", f.fault("chmod 600 "+f.path, "token file %s can be read by others (mode %04o)", f.path, info.Mode().Perm())
	}
	content, err := io.ReadAll(io.LimitReader(file, maxToken+1))
	if err != nil {
		return "", f.fault("", "read token file %s: %w", f.path, plain(err))
	}
	token := string(bytes.TrimSpace(content))
	if token == "" {
		return "", f.fault("write the token into it", "token file %s is empty", f.path)
	}
	if len(token) > maxToken || strings.ContainsFunc(token, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsGraphic(r) || unicode.IsSpace(r) }) {
		return "", f.fault("it must hold the token alone, on one line", "token file %s holds no token", f.path)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = token
	return token, nil
}

func (f *tokenFile) fault(hint, format string, args ...any) error {
	return &tokenError{fault.New(fault.Place{}, hint, format, args...)}
}

// tokenError marks trouble with the token file, which is for the operator to
// mend as much as a token that GitLab refuses.
type tokenError struct{ error }

func (e *tokenError) Unwrap() error { return e.error }

// plain takes the file name out of a file error; the message has it already.
func plain(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// fingerprint changes whenever the file's content, or what is wrong with the
// file, does.
func (f *tokenFile) fingerprint() [sha256.Size]byte {
	token, err := f.read()
	if err != nil {
		token = "\x00" + err.Error()
	}
	return sha256.Sum256([]byte(token))
}

// scrub keeps the token out of text that came from elsewhere.
func (f *tokenFile) scrub(text string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last == "" {
		return text
	}
	return strings.ReplaceAll(text, f.last, "[redacted]")
}
