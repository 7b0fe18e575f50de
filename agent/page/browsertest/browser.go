// Package browsertest shows pages to tests in Debian's Chromium: it takes an address, and
// gives what a person sees, can reach with keys, and cannot use. What a page must never do
// (open a dialog, ask another site, break its own policy) fails the test.
package browsertest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"coin.internal/coin-agent/internal/waitfor"
)

const (
	patience = 5 * time.Minute // for what a page must show
	oneStep  = 5 * time.Minute // for one answer of the browser
)

// Tab is the only tab of a browser.
type Tab struct {
	origin string
	ctx    context.Context //nolint:containedctx // the browser's, as chromedp wants it
	axe    string          // axe-core's script

	mu       sync.Mutex
	troubles []string
}

// Open starts a browser for pages of an origin, http://host:port. It ends with the test.
func Open(tb testing.TB, origin string) *Tab {
	tb.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		tb.Fatalf("%v\nhint: scripts/need chromium", err)
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(program),
		chromedp.Flag("no-proxy-server", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("hide-scrollbars", true))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium refuses its sandbox to root
	}
	allocator, stop := chromedp.NewExecAllocator(context.WithoutCancel(tb.Context()), options...)
	t := &Tab{origin: origin, axe: readAxe(tb)}
	t.ctx, _ = chromedp.NewContext(allocator)
	tb.Cleanup(func() {
		if err := chromedp.Cancel(t.ctx); err != nil {
			tb.Errorf("end the browser: %v", err)
		}
		stop()
	})
	if err := chromedp.Listen(t.ctx, t.hear); err != nil {
		tb.Fatalf("start %s: %v", program, err)
	}
	return t
}

func readAxe(tb testing.TB) string {
	tb.Helper()
	module, err := exec.Command("go", "env", "GOMOD").Output() // paths in the binary may be trimmed
	if err != nil {
		tb.Fatalf("go env GOMOD: %v", err)
	}
	cache := filepath.Join(filepath.Dir(string(module)), ".cache")
	found, _ := filepath.Glob(filepath.Join(cache, "axe-*.js"))
	if len(found) != 1 {
		tb.Fatalf("%s has %d versions of axe-core\nhint: remove .cache/axe-*.js and run scripts/axe", cache, len(found))
	}
	script, err := os.ReadFile(found[0])
	if err != nil {
		tb.Fatal(err)
	}
	return string(script)
}

// hear notes what a page must never do.
func (t *Tab) hear(event any) {
	switch e := event.(type) {
	case *page.EventJavascriptDialogOpening:
		t.note("dialog: " + e.Message)
		go func() {
			_, _ = chromedp.Call(t.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{})
		}()
	case *network.EventRequestWillBeSent:
		if url := e.Request.URL; !strings.HasPrefix(url, t.origin+"/") && url != "about:blank" {
			t.note("request to " + url)
		}
	case *log.EventEntryAdded: // an agent that does not answer is an error of the network
		if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork {
			t.note(fmt.Sprintf("%s: %s", e.Entry.Source, e.Entry.Text))
		}
	case *cdpruntime.EventExceptionThrown:
		t.note("exception: " + e.ExceptionDetails.Text)
	}
}

func (t *Tab) note(trouble string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.troubles = append(t.troubles, trouble)
}

// Untroubled fails the test with what pages did since the last call and must not do.
func (t *Tab) Untroubled(tb testing.TB) {
	tb.Helper()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, trouble := range t.troubles {
		tb.Errorf("the page did what it must not do: %.300s", trouble)
	}
	t.troubles = nil
}

// do runs steps of the browser.
func (t *Tab) do(tb testing.TB, steps ...chromedp.Action[chromedp.Void]) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, oneStep)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		tb.Fatal(err)
	}
}

// Visit shows a page of the origin.
func (t *Tab) Visit(tb testing.TB, path string) {
	tb.Helper()
	t.do(tb, chromedp.Navigate(t.origin+path))
}

// Press presses keys. "\t" is the tabulator and "\r" Enter.
func (t *Tab) Press(tb testing.TB, keys string) {
	tb.Helper()
	t.do(tb, chromedp.KeyEvent(strings.NewReplacer("\t", kb.Tab, "\r", kb.Enter).Replace(keys)))
}

// Scripts allows a page to run scripts, or forbids it.
func (t *Tab) Scripts(tb testing.TB, allowed bool) {
	tb.Helper()
	call(tb, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !allowed})
}

// Value gives the value of an expression in the page.
func Value[T any](tb testing.TB, t *Tab, expression string) T {
	tb.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, oneStep)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		tb.Fatalf("%.200s: %v", expression, err)
	}
	return value
}

// Until waits until an expression is true in the page.
func (t *Tab) Until(tb testing.TB, expression string) {
	tb.Helper()
	waitfor.NoError(tb, patience, func() error {
		ctx, cancel := context.WithTimeout(t.ctx, oneStep)
		defer cancel()
		is, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression))
		if err == nil && !is {
			var text string
			text, err = chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
			err = fmt.Errorf("never true: %s (%w); the page says\n%.3000s", expression, err, text)
		}
		return err
	})
}
