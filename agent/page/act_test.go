package page_test

import (
	"context"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/access"
	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/events"
	"coin.internal/coin-agent/agent/page"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/deploy"
)

// operated is a world that notes what users have it do.
type operated struct {
	*world
	refuse error         // of all that is asked
	run    func() error  // the outcome of a sync
	begun  chan struct{} // has one for each sync that began

	mu    sync.Mutex
	asked []string
}

func (o *operated) note(actor audit.Actor, what string, asked any) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = append(o.asked, fmt.Sprintf("%s %s %+v", actor, what, asked))
	return o.refuse
}

func (o *operated) granted(err error) (request.Run, error) {
	return func(context.Context, func(string)) (*record.Sync, error) {
		if o.begun != nil {
			o.begun <- struct{}{}
		}
		if o.run == nil {
			return &record.Sync{ID: 8}, nil
		}
		return nil, o.run()
	}, err
}

func (o *operated) GrantSync(actor audit.Actor, asked request.Sync) (request.Run, error) {
	return o.granted(o.note(actor, "sync", asked))
}

func (o *operated) GrantRetry(actor audit.Actor, asked request.Retry) (request.Run, error) {
	return o.granted(o.note(actor, "retry", asked))
}

func (o *operated) GrantRollback(actor audit.Actor, asked request.Rollback) (request.Run, error) {
	return o.granted(o.note(actor, "rollback", asked))
}

func (o *operated) Pause(actor audit.Actor, asked request.Pause) (*record.Pause, error) {
	return &record.Pause{}, o.note(actor, "pause", asked)
}

func (o *operated) Resume(_ context.Context, actor audit.Actor, asked request.Resume) (request.Resumed, error) {
	return request.Resumed{}, o.note(actor, "resume", asked)
}

func (o *operated) Approve(actor audit.Actor, asked request.Approve) (*record.Approval, error) {
	return &record.Approval{}, o.note(actor, "approve", asked)
}

func (o *operated) PlanRollback(_ context.Context, _ audit.Actor, asked request.Rollback) (*request.RollbackPlan, error) {
	return &request.RollbackPlan{To: max(asked.To, 3), Commit: "aaaaaaaaaa", Leaves: "bbbbbbbbbb", At: at, Digest: "d1d1d1d1", Plan: deploy.RecordedPlan{
		Stack: "coin", Steps: []deploy.Step{{Action: deploy.Update, Kind: deploy.Service, Name: "coin_web", Changes: []deploy.Change{{Path: "Image", Old: "web:2", New: "web:1"}}}},
	}}, nil
}

func (o *operated) Rollout() *report.Rollout { return nil }

// site is a node's page as a browser sees it, with a session of a token.
type site struct {
	t       *testing.T
	handler http.Handler
	cookie  *http.Cookie // nil without a session
}

const siteToken = "0123456789abcdef0123456789abcdef"

func newSite(t *testing.T, o *operated, scope control.Scope) *site {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(siteToken), 0o600); err != nil {
		t.Fatal(err)
	}
	pages := &page.Pages{Version: "test", API: &control.Server{
		Desk: func(record.StackKey) (control.Desk, error) { return o, nil }, History: o, Events: events.New(), Node: report.Node{Environment: "sandbox", Name: "node3"},
	}}
	guard, err := access.New(access.Options{
		Listen: "127.0.0.1:9181", Tokens: []access.Token{{Name: "ops", File: file, Scope: scope}}, Door: pages, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	api, wait := pages.API.Handler(t.Context())
	t.Cleanup(wait)
	s := &site{t: t, handler: guard.Protect(pages.Handler(api))}
	s.cookie = s.send(http.MethodPost, "/login", url.Values{"token": {siteToken}}).Result().Cookies()[0]
	return s
}

// send sends a request as a browser does.
func (s *site) send(method, path string, form url.Values) *httptest.ResponseRecorder {
	s.t.Helper()
	return s.sendIn(s.t.Context(), method, path, form)
}

func (s *site) sendIn(ctx context.Context, method, path string, form url.Values) *httptest.ResponseRecorder {
	s.t.Helper()
	r := httptest.NewRequestWithContext(ctx, method, "http://127.0.0.1:9181"+path, strings.NewReader(form.Encode()))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "http://127.0.0.1:9181")
	}
	if s.cookie != nil {
		r.AddCookie(s.cookie)
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

var inputs = regexp.MustCompile(`<input[^>]* name="([^"]*)" value="([^"]*)"`)

// form gives the fields of the form at a path, with a reason.
func (s *site) form(path, reason string) url.Values {
	s.t.Helper()
	w := s.send(http.MethodGet, path, nil)
	if w.Code != http.StatusOK {
		s.t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	values := url.Values{}
	for _, field := range inputs.FindAllStringSubmatch(w.Body.String(), -1) {
		values.Set(field[1], html.UnescapeString(field[2]))
	}
	values.Set("reason", reason)
	return values
}

// waitingWorld is a world whose last sync waits for approval.
func waitingWorld(t *testing.T) *operated {
	t.Helper()
	w := madeWorld(t, "web", 1, 7)
	w.status.Applied, w.status.Pause = &report.AppliedStatus{Commit: "aaaaaaaaaa", At: at}, nil
	sync := w.status.Sync
	sync.State, sync.Commit, sync.PlanDigest = record.Waiting, "cccccccccccc", "eeeeeeeeeeee"
	sync.Gates = []record.Gate{{Name: record.GateApproval, Waiting: "0/2", Since: at}}
	w.syncs[6].State = record.Waiting
	return &operated{world: w}
}

// Each form asks what its command asks, for the token, once.
func TestActs(t *testing.T) {
	o := waitingWorld(t)
	s := newSite(t, o, control.ScopeOperate)
	o.status.Pinned = &report.Pinned{}
	body := s.send(http.MethodGet, "/", nil).Body.String()
	var offered []string
	for _, one := range regexp.MustCompile(`href="/act/(\w+)"`).FindAllStringSubmatch(body, -1) {
		offered = append(offered, one[1])
	}
	if diff := cmp.Diff([]string{"approve", "resume", "sync", "pause", "rollback"}, offered); diff != "" {
		t.Error(diff)
	}
	for _, test := range []struct {
		path, extra, want string
	}{
		{"/act/approve", "", "token:ops approve {Commit:cccccccccccc Plan:eeeeeeeeeeee Reason:the <fair> OverrideFreeze:false}"},
		{"/act/resume", "", "token:ops resume {Reason:the <fair>}"},
		{"/act/sync", "", "token:ops sync {OverrideFreeze:false Reason:the <fair> To:}"},
		{"/act/pause", "2h", "token:ops pause {For:2h Reason:the <fair>}"},
		{"/act/rollback", "", "token:ops rollback {To:3 Services:[] Reason:the <fair> Digest:d1d1d1d1 Force:false}"},
		{"/act/rollback?to=5", "", "token:ops rollback {To:5 Services:[] Reason:the <fair> Digest:d1d1d1d1 Force:false}"},
	} {
		o.asked = nil
		form := s.form(test.path, " the <fair> ")
		form.Set("for", test.extra)
		for range 2 { // a browser sends it again
			w := s.send(http.MethodPost, strings.Split(test.path, "?")[0], form)
			next := w.Header().Get("Location")
			if w.Code != http.StatusSeeOther || !strings.HasPrefix(next, "/?done=") {
				t.Fatalf("%s: %d %s", test.path, w.Code, w.Body)
			}
			if shown := s.send(http.MethodGet, next, nil).Body.String(); !strings.Contains(shown, "UTC: token:ops: ") || !strings.Contains(shown, "the &lt;fair&gt;") {
				t.Errorf("%s: the overview does not say what was done", test.path)
			}
		}
		if diff := cmp.Diff([]string{test.want}, o.asked); diff != "" {
			t.Errorf("%s: %s", test.path, diff)
		}
	}
	rollback := s.send(http.MethodGet, "/act/rollback", nil).Body.String()
	for _, want := range []string{"From bbbbbbbbbb to aaaaaaaaaa of sync #3", "web:2", "cancel"} {
		if !strings.Contains(strings.ToLower(rollback), strings.ToLower(want)) {
			t.Errorf("the form of a rollback lacks %q", want)
		}
	}
	if strings.Contains(rollback, "<script") {
		t.Error("a form changes while a user fills it in")
	}
}

// A refusal comes in words, with the next step and what was filled in; the form can be sent again.
func TestRefusedActs(t *testing.T) {
	for name, test := range map[string]struct {
		path   string
		change func(*operated, url.Values)
		status int
		says   []string
		asked  int
	}{
		"no reason":        {"/act/pause", func(_ *operated, f url.Values) { f.Set("reason", " \u202e ") }, 400, []string{"a reason is missing", "write why"}, 0},
		"a long reason":    {"/act/pause", func(_ *operated, f url.Values) { f.Set("reason", strings.Repeat("x", 201)) }, 400, []string{"longer than 200"}, 0},
		"a part of a form": {"/act/sync", func(_ *operated, f url.Values) { f.Del("sync") }, 400, []string{"not whole", "Nothing was done"}, 0},
		"no mark":          {"/act/sync", func(_ *operated, f url.Values) { f.Set("mark", "x") }, 400, []string{"not whole"}, 0},
		"an old form": {"/act/sync", func(o *operated, _ url.Values) { o.status.Sync.ID = 8 }, 409, []string{
			"sync #8 has begun since the form was made", "Nothing was done", `value="the fair"`, `name="sync" value="8"`,
		}, 0},
		"an old pause": {"/act/pause", func(o *operated, _ url.Values) { o.status.Pause = &record.Pause{Since: time.Unix(1, 0)} }, 409, []string{
			"another user has paused, resumed or rolled back since the form was made", "Nothing was done",
		}, 0},
		"an old end of a pause": {"/act/resume", func(o *operated, _ url.Values) { o.status.Pinned = &report.Pinned{Since: time.Unix(1, 0)} }, 409, []string{"Nothing was done"}, 0},
		"refused": {"/act/pause", func(o *operated, _ url.Values) {
			o.refuse = request.Refuse(request.Conflict, "`agent status` shows it", "not now <b>")
		}, 409, []string{"not now &lt;b&gt;", "<code>agent status</code>", `value="the fair"`}, 1},
		"refused when it runs": {"/act/rollback", func(o *operated, _ url.Values) {
			o.run = func() error {
				return request.Refuse(request.Conflict, "`agent rollback --dry-run`", "the plan is another one now")
			}
		}, 409, []string{"the plan is another one now", "agent rollback --dry-run"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			o := waitingWorld(t)
			s := newSite(t, o, control.ScopeOperate)
			form := s.form(test.path, "the fair")
			mark := form.Get("mark")
			test.change(o, form)
			w := s.send(http.MethodPost, test.path, form)
			if w.Code != test.status || len(o.asked) != test.asked {
				t.Errorf("%d, asked %v: %s", w.Code, o.asked, w.Body)
			}
			for _, want := range test.says {
				if !strings.Contains(w.Body.String(), want) {
					t.Errorf("it does not say %q: %s", want, w.Body)
				}
			}
			if strings.Contains(w.Body.String(), mark) {
				t.Error("the form that comes back cannot be sent")
			}
		})
	}
}

// Who only reads has no button, and no form; nor has a browser at the control socket, whose user
// the agent does not know.
func TestWhoMayAct(t *testing.T) {
	o := waitingWorld(t)
	s := newSite(t, o, control.ScopeRead)
	if body := s.send(http.MethodGet, "/", nil).Body.String(); strings.Contains(body, "/act/") || !strings.Contains(body, "This page only reads") {
		t.Error("a reader has buttons")
	}
	if w := s.send(http.MethodGet, "/act/pause", nil); w.Code != 403 || !strings.Contains(w.Body.String(), "token:ops only reads") || !strings.Contains(w.Body.String(), "agent pause") {
		t.Errorf("the form of a reader: %d %s", w.Code, w.Body)
	}
	s.cookie = nil
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if w := s.send(method, "/act/pause", url.Values{"reason": {"x"}}); w.Code != 401 {
			t.Errorf("without a session: %d", w.Code)
		}
	}
	local := audit.Actor{By: audit.ByUser, Name: "local:root"}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		r := httptest.NewRequestWithContext(t.Context(), method, "http://localhost/act/pause", strings.NewReader("reason=x"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r = r.WithContext(control.WithCaller(r.Context(), control.Caller{Actor: local, Scope: control.ScopeOperate}))
		w := httptest.NewRecorder()
		o.handler().ServeHTTP(w, r)
		if w.Code != 403 || !strings.Contains(w.Body.String(), "over the control socket the page only reads") {
			t.Errorf("over the socket: %d %s", w.Code, w.Body)
		}
	}
	operating := newSite(t, o, control.ScopeOperate)
	if w := operating.send(http.MethodGet, "/act/adopt", nil); w.Code != 404 || !strings.Contains(w.Body.String(), "no form") {
		t.Errorf("what the page does not offer: %d", w.Code)
	}
	if len(o.asked) > 0 {
		t.Errorf("asked: %v", o.asked)
	}
}

// A sync goes on when its outcome takes longer than the page waits, and a form that is sent
// again meanwhile leads to the same overview.
func TestActThatGoesOn(t *testing.T) { synctest.Test(t, actThatGoesOn) }

func actThatGoesOn(t *testing.T) {
	o := waitingWorld(t)
	o.begun = make(chan struct{}, 1)
	release := make(chan struct{})
	o.run = func() error { <-release; return nil }
	s := newSite(t, o, control.ScopeOperate)
	defer close(release)
	form := s.form("/act/sync", "the fair")
	waiting, leave := context.WithCancel(t.Context())
	answers := make(chan *httptest.ResponseRecorder, 2)
	go func() { answers <- s.sendIn(waiting, http.MethodPost, "/act/sync", form) }()
	<-o.begun
	leave() // a double click: the browser waits for the second request alone
	again := s.send(http.MethodPost, "/act/sync", form)
	if shown := s.send(http.MethodGet, again.Header().Get("Location"), nil).Body.String(); !strings.Contains(shown, "What you asked for is being done") {
		t.Error("the overview does not say that it is being done")
	}
	first := <-answers
	if first.Code != 303 || first.Header().Get("Location") != again.Header().Get("Location") {
		t.Errorf("%d to %s, then to %s", first.Code, first.Header().Get("Location"), again.Header().Get("Location"))
	}
	if shown := s.send(http.MethodGet, first.Header().Get("Location"), nil).Body.String(); !strings.Contains(shown, "Sync has begun") {
		t.Error("the overview does not say that it has begun")
	}
	if !slices.Equal(o.asked, []string{"token:ops sync {OverrideFreeze:false Reason:the fair To:}"}) {
		t.Errorf("asked: %v", o.asked)
	}
}

// What a user does next names the form that the page offers, and the command where it offers none.
func TestNextNamesTheForm(t *testing.T) {
	o := waitingWorld(t)
	o.status.Next = "approve its merge request, or `agent approve ccccccc --reason …`; `agent rollback --to 3` or `agent rollback` reverts them; `agent retry`"
	for scope, want := range map[control.Scope]string{
		control.ScopeOperate: `or <a href="/act/approve">Approve</a>; <code>agent rollback --to 3</code> or <a href="/act/rollback">Roll back</a> reverts them; <code>agent retry</code>`,
		control.ScopeRead:    `or <code>agent approve ccccccc --reason …</code>; <code>agent rollback --to 3</code> or <code>agent rollback</code> reverts them; <code>agent retry</code>`,
	} {
		body := newSite(t, o, scope).send(http.MethodGet, "/", nil).Body.String()
		body = strings.NewReplacer("> ", ">", " <", "<").Replace(strings.Join(strings.Fields(body), " "))
		if want = strings.NewReplacer("> ", ">", " <", "<").Replace(want); !strings.Contains(body, want) {
			t.Errorf("%s: got %s", scope, body[strings.Index(body, "Next:"):][:600])
		}
	}
}
