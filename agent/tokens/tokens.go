// Package tokens takes the GitLab tokens that the settings name, and asks GitLab once a day
// until when each is valid, what it may do, and which role its user has. It gives the state of
// each token, with what an operator has to do. It guarantees that no token, and no digest of
// one that can be made without the node's key, leaves it.
package tokens

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/internal/fault"
)

// asker asks GitLab about the token that it uses.
type asker interface {
	Token(ctx context.Context) (gitlab.TokenInfo, error)
	Role(ctx context.Context) (gitlab.Role, error)
	TokenFingerprint() [sha256.Size]byte
}

// Use is a token that the settings name, and what the agent needs it for.
type Use struct {
	Setting string      // names the token's file
	File    string      // whose content is the token
	GitLab  asker       // uses the token
	Scopes  []string    // of which it needs one
	Role    gitlab.Role // that its user needs in the project; 0: the role is not asked
	Deploy  bool        // it may be a deploy token, which GitLab's API does not know
}

// Known is what GitLab said of a token. It is in the state file, so that a restart does not ask
// anew.
type Known struct {
	Of      string      `json:"of"` // a keyed digest of the token
	Asked   time.Time   `json:"asked,omitzero"`
	Next    time.Time   `json:"next,omitzero"` // when it is asked again
	Name    string      `json:"name,omitempty"`
	Scopes  []string    `json:"scopes,omitempty"`
	Expires time.Time   `json:"expires,omitzero"` // the day at whose begin it ends; zero if it does not
	Role    gitlab.Role `json:"role,omitempty"`   // 0: not known
	Refused string      `json:"refused,omitempty"`
	Hint    string      `json:"hint,omitempty"`
	Unread  string      `json:"unread,omitempty"` // why GitLab says nothing of it
}

// Problem is something that an operator has to mend.
type Problem struct {
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
	Soon bool   `json:"soon,omitempty"` // the token works until it expires
}

// State is what is known of a token.
type State struct {
	Setting  string    `json:"setting"`          // names the token's file
	Asked    time.Time `json:"asked,omitzero"`   // when GitLab was asked last; zero: not yet
	Name     string    `json:"name,omitempty"`   // of the token in GitLab
	Scopes   []string  `json:"scopes,omitempty"` // of the token
	Role     string    `json:"role,omitempty"`   // of its user in the project; "" if it is not known
	Expires  time.Time `json:"expires,omitzero"` // the day at whose begin it ends; zero if it does not, or that is not known
	Unread   string    `json:"unread,omitempty"` // why GitLab says nothing of it
	Problems []Problem `json:"problems,omitempty"`

	of string
}

// warnBefore is how long before a token's end the operator is warned.
const warnBefore = 14 * 24 * time.Hour

// Examine asks GitLab about a token now.
func Examine(ctx context.Context, use Use) (State, error) {
	known, err := ask(ctx, use)
	return use.judge(known, time.Now()), err
}

// ask asks GitLab about a token. What GitLab answers about it, a refusal too, is no error.
func ask(ctx context.Context, use Use) (known Known, err error) {
	known.Asked = time.Now()
	info, err := use.GitLab.Token(ctx)
	if err == nil && use.Role > 0 && may(info.Scopes, "api", "read_api") {
		known.Role, err = use.GitLab.Role(ctx)
	}
	known.Name, known.Scopes, known.Expires = info.Name, slices.Sorted(slices.Values(info.Scopes)), info.ExpiresAt
	var refused *gitlab.Error
	switch {
	case err == nil:
		if !info.Active {
			known.Refused = "the token is not active in GitLab"
			known.Hint = use.renew()
		}
	case ctx.Err() != nil || !errors.As(err, &refused) || refused.Kind == gitlab.KindRetry:
		return known, err
	case use.Deploy && refused.Status == http.StatusUnauthorized && !strings.Contains(err.Error(), "Token "):
		known.Unread = "GitLab's API does not know it, as it does not know deploy tokens"
	case refused.Kind == gitlab.KindPermanent:
		known.Unread = err.Error()
	default:
		known.Refused, known.Hint = err.Error(), cmp.Or(fault.Hint(err), use.renew())
	}
	return known, nil
}

// may reports whether a token has one of some scopes. What a fine-grained token may do is not
// in its scopes.
func may(scopes []string, one ...string) bool {
	return slices.ContainsFunc(scopes, func(scope string) bool { return scope == "granular" || slices.Contains(one, scope) })
}

// renew says how to replace the token.
func (u Use) renew() string {
	role := ""
	if u.Role > 0 {
		role = fmt.Sprintf(" and the role %s", u.Role)
	}
	return fmt.Sprintf("create a token with the scope %s%s, and write it into %s (%s); the agent uses it at once", u.Scopes[0], role, u.Setting, u.File)
}

// judge gives the state of a token by what GitLab said of it.
func (u Use) judge(known Known, now time.Time) State {
	s := State{
		Setting: u.Setting, Asked: known.Asked, Name: known.Name, Scopes: known.Scopes, Expires: known.Expires, Unread: known.Unread,
		of: known.Of,
	}
	if known.Role > 0 {
		s.Role = known.Role.String()
	}
	add := func(hint, format string, args ...any) {
		s.Problems = append(s.Problems, Problem{Text: fmt.Sprintf(format, args...), Hint: hint})
	}
	if known.Refused != "" {
		add(known.Hint, "%s", known.Refused)
		return s
	}
	if known.Asked.IsZero() || known.Unread != "" {
		return s
	}
	day := known.Expires.Format(time.DateOnly)
	switch left := known.Expires.Sub(now); {
	case known.Expires.IsZero():
	case left <= 0:
		add(u.renew(), "the token expired %s", day)
	case left < warnBefore:
		s.Problems = append(s.Problems, Problem{"the token expires " + day, u.renew(), true})
	}
	if !may(known.Scopes, u.Scopes...) {
		add(u.renew(), "the token lacks the scope %s; it has %s", u.Scopes[0], cmp.Or(strings.Join(known.Scopes, ", "), "none"))
	}
	if known.Role > 0 && known.Role < u.Role {
		add(fmt.Sprintf("grant the token's user the role %s in the project, or replace the token of %s (%s)", u.Role, u.Setting, u.File),
			"the token's user has the role %s in the project, and needs %s", known.Role, u.Role)
	}
	return s
}

// Errors gives the problems as faults, which name the setting.
func (s State) Errors() []error {
	faults := make([]error, 0, len(s.Problems))
	for _, one := range s.Problems {
		faults = append(faults, fault.New(fault.Place{}, one.Hint, "%s: %s", s.Setting, one.Text))
	}
	return faults
}

// Errors gives the problems of all tokens as faults.
func Errors(states []State) (faults []error) {
	for _, one := range states {
		faults = append(faults, one.Errors()...)
	}
	return faults
}

// Expiries gives when the tokens expire that do so, by the settings that name them.
func Expiries(states []State) map[string]time.Time {
	at := map[string]time.Time{}
	for _, one := range states {
		if !one.Expires.IsZero() {
			at[one.Setting] = one.Expires
		}
	}
	return at
}

// Usable reports for each token whether it works, by the settings that name them. What GitLab was
// not asked about, or does not know, is left out.
func Usable(states []State) map[string]bool {
	usable := map[string]bool{}
	for _, one := range states {
		if !one.Asked.IsZero() && one.Unread == "" {
			usable[one.Setting] = one.Soon()
		}
	}
	return usable
}

// Soon reports whether the token works, and its problems are all of its end.
func (s State) Soon() bool {
	return !slices.ContainsFunc(s.Problems, func(p Problem) bool { return !p.Soon })
}

// Line says until when the token is valid, without its problems.
func (s State) Line() string {
	switch {
	case s.Asked.IsZero():
		return "GitLab was not asked about it yet"
	case s.Unread != "":
		return s.Unread
	case len(s.Scopes) == 0:
		return "it is not known until when it is valid"
	case s.Expires.IsZero():
		return "does not expire"
	}
	return "expires " + s.Expires.Format(time.DateOnly)
}

// ID tells this token and its problems from others; it is not a secret.
func (s State) ID() string { return s.Setting + " " + s.of }

// digest gives a digest of a token that only the owner of the key can make.
func digest(key []byte, fingerprint [sha256.Size]byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write(fingerprint[:])
	return hex.EncodeToString(mac.Sum(nil)[:12])
}
