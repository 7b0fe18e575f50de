package page_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/events"
	"coin.internal/coin-agent/agent/page"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
)

// several are the worlds of a node with several stacks, by key.
type several map[record.StackKey]*world

func (s several) find(key record.StackKey) (*world, error) {
	if found := s[key]; found != nil {
		return found, nil
	}
	return nil, request.Refuse(request.NotFound, "`agent status` lists the node's stacks", "this node has no stack %q", key)
}

// handler serves the pages of the stacks.
func (s several) handler(ring *events.Ring, keys ...record.StackKey) http.Handler {
	pages := &page.Pages{Version: "test", Stacks: func() []record.StackKey { return keys }, API: &control.Server{
		Desk:    func(key record.StackKey) (control.Desk, error) { return s.find(key) },
		Logs:    func(key record.StackKey) (control.Logs, error) { return s.find(key) },
		History: s[keys[0]], Events: ring, Node: report.Node{Environment: "sandbox", Name: "node3"},
	}}
	return pages.Handler(http.NotFoundHandler())
}

var links = regexp.MustCompile(`(?:href|action)="(/[^"]*)"`)

// Each link of a page about one of several stacks leads to a page about the same one, unless
// it is one of the list of the stacks, which says how each of them is.
func TestStacks(t *testing.T) {
	shop, games := madeWorld(t, "web", 120, 60), madeWorld(t, "dice", 2, 2)
	shop.status.Stack, games.status.Stack = "shop", "games"
	for i := range shop.syncs {
		shop.syncs[i].Stack = "games" // in the history of the node
	}
	ring := events.New()
	for _, stack := range []string{"shop", "games", ""} {
		ring.Publish(events.Event{Kind: events.Look, Stack: stack, Text: "a look at <" + stack + ">"})
	}
	handler := several{"shop": shop, "games&co": games}.handler(ring, "shop", "games&co")
	for _, path := range []string{"/", "/plan", "/syncs", "/syncs/7", "/secrets", "/services/dice/logs", "/syncs/99"} {
		body := get(t, handler, path+"?stack=games%26co").Body.String()
		main := body[strings.Index(body, "</nav>"):] // the list of the stacks is in the first part of the content
		list := regexp.MustCompile(`(?s)<nav id="stacks".*?</nav>`).FindString(main)
		for _, want := range []string{`aria-current="true"`, "games&amp;co", "DEGRADED", `stack=shop`} {
			if !strings.Contains(list, want) {
				t.Errorf("%s: the list of stacks lacks %s: %s", path, want, list)
			}
		}
		for _, link := range links.FindAllStringSubmatch(strings.Replace(body, list, "", 1), -1) {
			address, err := url.Parse(strings.ReplaceAll(link[1], "&amp;", "&"))
			if err != nil {
				t.Fatal(err)
			}
			other := strings.HasPrefix(address.Path, "/assets/") || address.Path == "/syncs" && strings.Contains(link[0], "action")
			if !other && address.Query().Get("stack") != "games&co" {
				t.Errorf("%s links to %s", path, link[1])
			}
		}
	}
	if body := get(t, handler, "/syncs?stack=shop").Body.String(); !strings.Contains(body, `<input type="hidden" name="stack" value="shop">`) && !strings.Contains(body, `<input type="hidden" name="stack" value="shop"/>`) {
		t.Error("the filter of the history forgets the stack")
	}
	body := get(t, handler, "/").Body.String()
	if !strings.Contains(body, "a look at &lt;shop&gt;") || !strings.Contains(body, "a look at &lt;&gt;") || strings.Contains(body, "a look at &lt;games&gt;") {
		t.Error("the overview has the events of another stack")
	}
	if !strings.Contains(body, `href="/plan?stack=shop"`) {
		t.Error("without a stack the page is not about the first one")
	}
	refused := get(t, handler, "/?stack=none")
	if refused.Code != http.StatusNotFound || strings.Contains(refused.Body.String(), "stack=none") {
		t.Errorf("a stack that is not there: %d, with links to it", refused.Code)
	}
}

// A node with one stack has no list, and no link names the stack.
func TestOneStack(t *testing.T) {
	handler := several{"default": hostileWorld(t), "": hostileWorld(t)}.handler(events.New(), "default")
	for _, path := range everyPage {
		if body := get(t, handler, path).Body.String(); strings.Contains(body, "stack=") || strings.Contains(body, `id="stacks"`) {
			t.Errorf("%s names the only stack", path)
		}
	}
}
