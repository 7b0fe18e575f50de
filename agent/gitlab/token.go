package gitlab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"time"
	"unicode"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/privatefile"
)

// tokenFile supplies the token to the library. It reads the file for every request, so that
// a new token is used at once.
type tokenFile struct {
	path    string
	setting string // that names the file
	scope   string // that the token needs

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

// String names the setting and its file, for hints.
func (f *tokenFile) String() string { return f.setting + " (" + f.path + ")" }

// scrub removes the token from a text of another system.
func (f *tokenFile) scrub(text string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last == "" {
		return text
	}
	return strings.ReplaceAll(text, f.last, "[redacted]")
}

// TokenInfo describes the token in use.
type TokenInfo struct {
	Name      string
	UserID    int64
	Scopes    []string
	Active    bool
	ExpiresAt time.Time // the day at whose begin it ends, or zero
}

// Token requests information about the token in use. An error is an *Error.
func (c *Client) Token(ctx context.Context) (TokenInfo, error) {
	token, err := ask(ctx, c, "read the token's information", c.api.PersonalAccessTokens.GetSinglePersonalAccessToken)
	if err != nil {
		return TokenInfo{}, err
	}
	info := TokenInfo{Name: token.Name, UserID: token.UserID, Scopes: token.Scopes, Active: token.Active && !token.Revoked}
	if token.ExpiresAt != nil {
		info.ExpiresAt = time.Time(*token.ExpiresAt)
	}
	return info, nil
}

// TokenFingerprint changes when the content of the token's file changes, or why it cannot be
// read.
func (c *Client) TokenFingerprint() [sha256.Size]byte { return c.token.fingerprint() }

// Role is a user's role in the project, by GitLab's number.
type Role int

// The roles that the agent needs.
const (
	Reporter   Role = 20
	Developer  Role = 30
	Maintainer Role = 40
)

// String gives GitLab's name of the role.
func (r Role) String() string {
	switch {
	case r >= 50:
		return "Owner"
	case r >= Maintainer:
		return "Maintainer"
	case r >= Developer:
		return "Developer"
	case r >= Reporter:
		return "Reporter"
	case r >= 10:
		return "Guest"
	}
	return "Minimal Access"
}

// Role requests the role of the token's user in the project; 0 if GitLab does not say it, as
// of an administrator, or of the member of an invited group. An error is an *Error.
func (c *Client) Role(ctx context.Context) (Role, error) {
	project, err := ask(ctx, c, "read the role of the token's user", func(with ...gl.RequestOptionFunc) (*gl.Project, *gl.Response, error) {
		return c.api.Projects.GetProject(c.project, nil, with...)
	})
	if err != nil || project.Permissions == nil {
		return 0, err
	}
	var role Role
	if own := project.Permissions.ProjectAccess; own != nil {
		role = Role(own.AccessLevel)
	}
	if group := project.Permissions.GroupAccess; group != nil {
		role = max(role, Role(group.AccessLevel))
	}
	return role, nil
}
