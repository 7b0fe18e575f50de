// Package webhook takes GitLab's hooks: from a request it makes at most one call of Look, after
// it has verified the token or the signature, the project and the ref. It keeps nothing of a
// hook and reads no revision from it: the look asks the remote, so a forged hook shows nothing.
package webhook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/privatefile"
)

const (
	shortest  = 32      // characters of a token
	mostBody  = 1 << 20 // a push hook has up to 20 commits with their files
	bodyTime  = 10 * time.Second
	skew      = 5 * time.Minute // how old, or of the future, a signed hook may be
	perMinute = 120             // hooks that are read
	signing   = "whsec_"        // begins a signing token
)

// Options say which hooks count.
type Options struct {
	TokenFile string                          // a token, or a signing token
	Project   string                          // path or number
	Follows   func(ref string, tag bool) bool // whether a push to a branch or tag is of interest
	Target    string                          // the branch of merge requests that are of interest; "" for none
	Look      func()                          // has the agent look at the remote; does not wait
	Relist    func()                          // has the agent list the merge requests; does not wait
	Log       *slog.Logger
}

// Receiver takes hooks.
type Receiver struct {
	use Options

	mu    sync.Mutex
	began time.Time            // of the minute
	taken int                  // in that minute
	ids   map[string]time.Time // of signed hooks, while a repetition would not be too old
}

// New makes a receiver. It reads the token once, so that a wrong one is reported at the start.
func New(o Options) (*Receiver, error) {
	r := &Receiver{use: o, ids: map[string]time.Time{}}
	_, _, err := r.secret()
	return r, err
}

// secret reads the token, or the key of the signatures.
func (h *Receiver) secret() (token, key []byte, err error) {
	content, err := privatefile.Read(h.use.TokenFile, "the webhook token", nil)
	if err != nil {
		return nil, nil, err
	}
	token = bytes.TrimSpace(content)
	refuse := func(text string) error {
		return fault.New(fault.Place{File: h.use.TokenFile}, "write the webhook's signing token (whsec_…) into it, or a random secret token: openssl rand -hex 32", "%s", text)
	}
	if text, signed := strings.CutPrefix(string(token), signing); signed {
		key, err = base64.StdEncoding.DecodeString(text)
		if err != nil || len(key) < 16 {
			return nil, nil, refuse("the webhook's signing token is not valid")
		}
		return nil, key, nil
	}
	if len(token) < shortest {
		return nil, nil, refuse("the webhook token has under " + strconv.Itoa(shortest) + " characters")
	}
	return token, nil, nil
}

// Handle answers a hook. It gives false, and answers nothing, if the sender is not the GitLab
// that has the token. What is not of interest is answered like all else: GitLab disables a hook
// after a few refusals.
func (h *Receiver) Handle(w http.ResponseWriter, r *http.Request) (known bool) {
	token, key, err := h.secret()
	if err != nil {
		h.use.Log.Error("webhook token not read", "error", err, "hint", fault.Hint(err))
		answer(w, http.StatusInternalServerError, "the agent cannot read its webhook token")
		return true
	}
	if key == nil && !same(token, r.Header.Get("X-Gitlab-Token")) || key != nil && r.Header.Get("Webhook-Signature") == "" {
		return false
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime)) // a test's writer has none
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBody))
	switch {
	case errors.As(err, new(*http.MaxBytesError)) && key == nil: // a push of very many files
		h.use.Look()
		answer(w, http.StatusAccepted, "the hook is larger than 1 MiB: the agent looks")
		return true
	case errors.As(err, new(*http.MaxBytesError)): // the signature cannot be verified
		answer(w, http.StatusRequestEntityTooLarge, "the hook is larger than 1 MiB")
		return true
	case err != nil:
		answer(w, http.StatusBadRequest, "the hook cannot be read")
		return true
	}
	now := time.Now()
	if key != nil && !signed(key, r.Header, body, now) {
		return false
	}
	switch h.admit(r.Header.Get("Webhook-Id"), key != nil, now) {
	case http.StatusTooManyRequests: // GitLab is not told so: see above
		h.use.Look()
		answer(w, http.StatusAccepted, "too many hooks to read each: the agent looks")
	case http.StatusAlreadyReported:
		answer(w, http.StatusAccepted, "the hook has come before")
	default:
		h.take(w, body)
	}
	return true
}

// take has the agent look if the hook is about what it follows.
func (h *Receiver) take(w http.ResponseWriter, body []byte) {
	var hook event
	if err := json.Unmarshal(body, &hook); err != nil {
		answer(w, http.StatusBadRequest, "the hook is not JSON of GitLab")
		return
	}
	if !strings.EqualFold(hook.Project.Path, h.use.Project) && strconv.FormatInt(hook.Project.ID, 10) != h.use.Project {
		answer(w, http.StatusAccepted, "the hook is of another project than gitlab_project")
		return
	}
	if !hook.concerns(&h.use) {
		answer(w, http.StatusAccepted, "nothing that the agent follows")
		return
	}
	if hook.moved() {
		h.use.Relist()
	}
	h.use.Look()
	h.use.Log.Debug("webhook", "event", hook.Kind)
	answer(w, http.StatusAccepted, "the agent looks")
}

// event is the part of a hook that counts.
type event struct {
	Kind    string `json:"object_kind"`
	Ref     string `json:"ref"`
	Project struct {
		ID   int64  `json:"id"`
		Path string `json:"path_with_namespace"`
	} `json:"project"`
	Attributes struct {
		Target string `json:"target_branch"`
		Action string `json:"action"`
	} `json:"object_attributes"`
	Changes struct {
		Target json.RawMessage `json:"target_branch"`
		Labels json.RawMessage `json:"labels"`
	} `json:"changes"`
}

// moved reports whether a merge request was opened again, or has another target branch, other
// approvals or labels. No ref moves then.
func (e *event) moved() bool {
	if e.Kind != "merge_request" {
		return false
	}
	switch e.Attributes.Action {
	case "reopen", "approved", "approval", "unapproved", "unapproval":
		return true
	}
	return e.Changes.Target != nil || e.Changes.Labels != nil
}

func (e *event) concerns(use *Options) bool {
	switch e.Kind {
	case "push":
		branch, is := strings.CutPrefix(e.Ref, "refs/heads/")
		return is && use.Follows(branch, false)
	case "tag_push":
		tag, is := strings.CutPrefix(e.Ref, "refs/tags/")
		return is && use.Follows(tag, true)
	case "merge_request":
		return use.Target != "" && e.Attributes.Target == use.Target
	}
	return false
}

// admit counts a hook, and remembers its ID where it is signed.
func (h *Receiver) admit(id string, signed bool, now time.Time) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.Sub(h.began) >= time.Minute {
		h.began, h.taken = now, 0
		for one, at := range h.ids {
			if now.Sub(at) > 2*skew {
				delete(h.ids, one)
			}
		}
	}
	if h.taken++; h.taken > perMinute {
		return http.StatusTooManyRequests
	}
	if signed {
		if _, known := h.ids[id]; known {
			return http.StatusAlreadyReported
		}
		h.ids[id] = now
	}
	return http.StatusAccepted
}

// same compares in constant time.
func same(token []byte, given string) bool {
	want, got := sha256.Sum256(token), sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// signed verifies the signature of a hook, by the Standard Webhooks specification.
func signed(key []byte, header http.Header, body []byte, now time.Time) bool {
	id, stamp := header.Get("Webhook-Id"), header.Get("Webhook-Timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || id == "" || len(id) > 255 || now.Sub(time.Unix(seconds, 0)).Abs() > skew {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + stamp + "."))
	mac.Write(body)
	want, valid := mac.Sum(nil), false
	for one := range strings.FieldsSeq(header.Get("Webhook-Signature")) {
		text, is := strings.CutPrefix(one, "v1,")
		got, err := base64.StdEncoding.DecodeString(text)
		valid = valid || is && err == nil && hmac.Equal(want, got)
	}
	return valid
}

func answer(w http.ResponseWriter, status int, text string) {
	key := "error"
	if status < 300 {
		key = "result"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{key: text})
}
