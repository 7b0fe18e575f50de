package notify_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/internal/fault"
)

// integration is the key of a PagerDuty integration.
const integration = "0123456789abcdefABCDEF0123456789"

// pagerDuty answers as PagerDuty's Events API v2 is documented, and keeps the events.
func pagerDuty(t *testing.T, events *[]map[string]any) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var event map[string]any
		body, _ := io.ReadAll(r.Body)
		refuse := func(why string) {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]any{"status": "invalid event", "message": "Event object is invalid", "errors": []string{why}})
		}
		payload, _ := map[string]any{}, 0
		if err := json.Unmarshal(body, &event); err == nil {
			payload, _ = event["payload"].(map[string]any)
		}
		text := func(of map[string]any, name string) string { s, _ := of[name].(string); return s }
		stamp, noTime := time.Parse(time.RFC3339, text(payload, "timestamp"))
		switch {
		case r.Method != http.MethodPost || r.URL.Path != "/v2/enqueue" || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
			w.WriteHeader(http.StatusNotFound)
		case len(body) > 512<<10:
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		case text(event, "routing_key") != integration:
			refuse("Invalid routing key")
		case !slices.Contains([]string{"trigger", "acknowledge", "resolve"}, text(event, "event_action")):
			refuse("'event_action' is invalid")
		case len(text(event, "dedup_key")) == 0 || len(text(event, "dedup_key")) > 255:
			refuse("'dedup_key' is invalid")
		case text(payload, "summary") == "" || len([]rune(text(payload, "summary"))) > 1024 || text(payload, "source") == "" || noTime != nil || stamp.IsZero():
			refuse("'payload.summary' or 'payload.source' is missing or blank")
		case !slices.Contains([]string{"critical", "error", "warning", "info"}, text(payload, "severity")):
			refuse("'payload.severity' is invalid")
		default:
			*events = append(*events, event)
			w.WriteHeader(http.StatusAccepted)
			_ = json.NewEncoder(w).Encode(map[string]string{"status": "success", "message": "Event processed", "dedup_key": text(event, "dedup_key")})
		}
	}))
	t.Cleanup(server.Close)
	return server
}

// of gives a notice of an event, with a page.
func of(event notify.Event) notify.Notice {
	n := failed()
	n.Event, n.Page = event, "https://node3.example.com/syncs/7"
	return n
}

// A failure and a rollback trigger one alert, and the next success resolves it. A token's alert
// is another one.
func TestPagerDuty(t *testing.T) {
	var events []map[string]any
	server := pagerDuty(t, &events)
	sender, err := notify.NewPagerDuty(private(t, integration+"\n"), server.URL+"/v2/enqueue", "")
	if err != nil || sender.Ready() != nil {
		t.Fatal(err, sender.Ready())
	}
	token := of(notify.Failure)
	token.Token = "gitlab_token_file 0123"
	for _, n := range []notify.Notice{of(notify.Failure), of(notify.Rollback), token, of(notify.Recovery)} {
		if err := sender.Send(t.Context(), notify.Receiver{Kind: notify.KindPagerDuty}, notify.Compose(n)); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, event := range events {
		payload := event["payload"].(map[string]any)                                                                                              //nolint:forcetypeassert // the double demands it
		got = append(got, strings.Join([]string{event["event_action"].(string), payload["severity"].(string), event["dedup_key"].(string)}, " ")) //nolint:forcetypeassert // likewise
		if links, _ := json.Marshal(event["links"]); !strings.Contains(string(links), "https://node3.example.com/syncs/7") {
			t.Errorf("the links are %s", links)
		}
	}
	want := []string{
		"trigger critical coin-agent/sandbox/node3", "trigger warning coin-agent/sandbox/node3",
		"trigger critical coin-agent/sandbox/node3/token/gitlab_token_file", "resolve critical coin-agent/sandbox/node3",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A key that PagerDuty does not know, or that is none, lets messages wait for another one, and
// is in no error.
func TestPagerDutyKeys(t *testing.T) {
	var events []map[string]any
	server := pagerDuty(t, &events)
	other := strings.Repeat("f", 32)
	for key, want := range map[string]string{other: "answers 400", "short": "does not contain an integration key"} {
		sender, err := notify.NewPagerDuty(private(t, key), server.URL+"/v2/enqueue", "")
		if err != nil {
			t.Fatal(err)
		}
		err = sender.Send(t.Context(), notify.Receiver{}, notify.Compose(of(notify.Failure)))
		if lasting, _ := notify.Asks(err); err == nil || lasting || !strings.Contains(err.Error(), want) || fault.Hint(err) == "" {
			t.Errorf("%s: %v", key, err)
		}
		hides(t, err, key)
	}
}

// teams answers as a webhook of Teams' Workflows, and keeps the runs of text and the links.
func teams(t *testing.T, runs, links *[]string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var message struct {
			Type        string
			Attachments []struct {
				ContentType string
				Content     struct {
					Type, Version string
					Body          []struct {
						Type    string
						Inlines []struct{ Type, Text, Weight string }
					}
					Actions []struct{ Type, Title, URL string }
				}
			}
		}
		if err := json.Unmarshal(body, &message); err != nil || len(body) > 28<<10 || message.Type != "message" || len(message.Attachments) != 1 ||
			message.Attachments[0].ContentType != "application/vnd.microsoft.card.adaptive" || message.Attachments[0].Content.Type != "AdaptiveCard" ||
			!regexp.MustCompile(`^1\.[2-5]$`).MatchString(message.Attachments[0].Content.Version) || r.URL.Query().Get("sig") != token {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		for _, block := range message.Attachments[0].Content.Body {
			if block.Type != "RichTextBlock" || len(block.Inlines) != 1 || block.Inlines[0].Type != "TextRun" || block.Inlines[0].Text == "" {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			*runs = append(*runs, block.Inlines[0].Text)
		}
		for _, action := range message.Attachments[0].Content.Actions {
			*links = append(*links, action.Type+" "+action.Title+" "+action.URL)
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(server.Close)
	return server
}

// A card has runs of text, which are no Markdown, and stays within the size that Teams takes.
func TestTeams(t *testing.T) {
	var runs, links []string
	server := teams(t, &runs, &links)
	sender, err := notify.NewTeams(private(t, server.URL+"/workflows/1?sig="+strings.ReplaceAll(token, "/", "%2F")), "")
	if err != nil || sender.Ready() != nil {
		t.Fatal(err, sender.Ready())
	}
	n := of(notify.Failure)
	n.Details = []notify.Detail{{Text: "[click](https://evil.example) **now**"}}
	if err := sender.Send(t.Context(), notify.Receiver{}, notify.Compose(n)); err != nil {
		t.Fatal(err)
	}
	if runs[0] != "sandbox/node3: rollout failed at verify, release 2026-03-14-0123456789" || !slices.Contains(runs, "[click](https://evil.example) **now**") {
		t.Errorf("the card says %q", runs)
	}
	if !slices.Contains(links, "Action.OpenUrl Sync https://node3.example.com/syncs/7") {
		t.Errorf("the links are %q", links)
	}
	long := notify.Compose(n)
	long.Text = strings.Repeat(strings.Repeat("ж", 500)+"\n", 100)
	runs = nil
	if err := sender.Send(t.Context(), notify.Receiver{}, long); err != nil || !strings.HasPrefix(runs[len(runs)-1], "The rest is cut") {
		t.Errorf("%v: %d runs", err, len(runs))
	}
}

// A webhook gets all fields, or a template whose strings name some. A value stays in its string.
func TestWebhookTemplate(t *testing.T) {
	var got string
	var header http.Header
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got, header = string(body), r.Header
	}))
	defer server.Close()
	n := of(notify.Failure)
	n.Author = `A", "admin": true, "x": "{{title}}`
	for template, want := range map[string]string{
		`{"a": "by {{author}}", "b": [1.50, null, "{{ node }}/{{event}}"], "c": {"d": true}}`: `{"a":"by A\", \"admin\": true, \"x\": \"{{title}}","b":[1.50,null,"node3/failure"],"c":{"d":true}}`,
		`"{{release}}"`: `"2026-03-14-0123456789"`,
	} {
		sender, err := notify.NewWebhook(notify.WebhookOptions{URLFile: private(t, server.URL), TokenFile: private(t, "s3cret"), TemplateFile: private(t, template)})
		if err != nil || sender.Ready() != nil {
			t.Fatal(err, sender.Ready())
		}
		if err := sender.Send(t.Context(), notify.Receiver{}, notify.Compose(n)); err != nil || got != want || header.Get("Authorization") != "Bearer s3cret" {
			t.Errorf("%v: got %s, want %s, %v", err, got, want, header)
		}
	}
	sender, err := notify.NewWebhook(notify.WebhookOptions{URLFile: private(t, server.URL)})
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]string
	if err := sender.Send(t.Context(), notify.Receiver{}, notify.Compose(n)); err != nil || json.Unmarshal([]byte(got), &fields) != nil || fields["page"] != n.Page || len(fields) != 16 {
		t.Errorf("%v: %s", err, got)
	}
	for template, want := range map[string]string{
		`{"a": "{{token}}"}`: "there is no field {{token}}", `{"a": `: "not valid JSON", `{} {}`: "not valid JSON", ``: "",
	} {
		_, err := notify.NewWebhook(notify.WebhookOptions{URLFile: private(t, server.URL), TemplateFile: private(t, template+" ")})
		if err == nil || !strings.Contains(err.Error(), want) || fault.Hint(err) == "" {
			t.Errorf("%s: %v", template, err)
		}
	}
}

// PagerDuty gets what is broken and when that is over; a receiver that the settings do not have
// waits, and says which setting is missing.
func TestWhatPagerDutyHears(t *testing.T) {
	inRoom(t, func(r *room) {
		r.run(0)
		r.use(all, notify.Receiver{Kind: notify.KindPagerDuty, Address: notify.OfNode}, notify.Receiver{Kind: notify.KindTeams, Address: notify.OfNode})
		r.tell(plainNotice(notify.Waiting, "1", "waits"), plainNotice(notify.Drift, "1", "drifted"), plainNotice(notify.Failure, "2", "bad"), plainNotice(notify.Success, "2", "good"))
		r.pass(time.Hour)
		r.wants("pagerduty: bad", "pagerduty: recovered: good")
		condition := r.outbox.Health().Receivers[1]
		if condition.Kind != notify.KindTeams || condition.Waiting != 4 || condition.Problem == nil || condition.Problem.Code != "notice" || condition.Problem.Hint != "set teams_webhook_file in the agent's settings" {
			t.Errorf("got %+v", condition)
		}
	})
}
