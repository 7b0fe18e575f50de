package browsertest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// PicturesVariable names a folder for pictures of what the tests look at.
const PicturesVariable = "PAGE_PICTURES"

// Look is a way to see a page.
type Look struct {
	Width, Height int64
	Scheme        string // light or dark
}

// The looks at which a page is judged.
var (
	Desk      = Look{1440, 900, "light"}
	DeskDark  = Look{1440, 900, "dark"}
	Phone     = Look{390, 844, "light"}
	PhoneDark = Look{390, 844, "dark"}
)

func (l Look) String() string { return fmt.Sprintf("%d-%s", l.Width, l.Scheme) }

// As shows the page in a look from now on.
func (t *Tab) As(tb testing.TB, look Look) {
	tb.Helper()
	call(tb, t, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: look.Width, Height: look.Height, DeviceScaleFactor: 1, Mobile: look.Width < 600,
	})
	call(tb, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: look.Scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
}

// See judges the page in each of the looks: nothing is cut off or wider than the screen, and
// axe-core finds nothing serious. The pictures have the name.
func (t *Tab) See(tb testing.TB, name string, looks ...Look) {
	tb.Helper()
	for _, look := range looks {
		t.As(tb, look)
		for _, problem := range Value[[]string](tb, t, cutOff) {
			tb.Errorf("%s at %s: %s", name, look, problem)
		}
		if Value[bool](tb, t, `!window.axe`) {
			Value[bool](tb, t, t.axe+"; true")
		}
		for _, problem := range Value[[]string](tb, t, judge) {
			tb.Errorf("%s at %s: %s", name, look, problem)
		}
		if dir := os.Getenv(PicturesVariable); dir != "" {
			t.picture(tb, filepath.Join(dir, name+"-"+look.String()+".png"), chromedp.FullScreenshot(100))
		}
	}
}

// Picture writes a picture of the upper part of the page where pictures are asked for.
func (t *Tab) Picture(tb testing.TB, name string, look Look) {
	tb.Helper()
	if dir := os.Getenv(PicturesVariable); dir != "" {
		t.As(tb, look)
		t.picture(tb, filepath.Join(dir, name+".png"), chromedp.CaptureScreenshot())
	}
}

func (t *Tab) picture(tb testing.TB, file string, take chromedp.Action[[]byte]) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, oneStep)
	defer cancel()
	taken, err := chromedp.Run(ctx, take)
	if err == nil {
		taken, err = reduce(taken)
	}
	if err == nil {
		err = os.WriteFile(file, taken, 0o644) //nolint:gosec // a picture for everybody
	}
	if err != nil {
		tb.Fatalf("picture %s: %v", file, err)
	}
}

// call gives the browser a command.
func call[P any](tb testing.TB, t *Tab, command cdp.Command[P, cdp.Empty], params P) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, oneStep)
	defer cancel()
	if _, err := chromedp.Call(ctx, command, params); err != nil {
		tb.Fatalf("%s: %v", command.Method, err)
	}
}

// Keys goes through the page by tabulator, and gives what has the focus in turn. It fails the
// test if the order is not that of the page, if something cannot be reached, or if the focus
// cannot be seen.
func (t *Tab) Keys(tb testing.TB) []string {
	tb.Helper()
	Value[bool](tb, t, `document.activeElement.blur(), window.scrollTo(0, 0), document.body.focus(), true`)
	var reached []string
	for want := range Value[int](tb, t, reachable+`.length`) {
		t.Press(tb, "\t")
		at := Value[struct {
			Index int
			Seen  bool
			Text  string
		}](tb, t, focused)
		if at.Index != want || !at.Seen {
			tb.Errorf("tabulator %d reaches element %d, visible focus %t: %s", want, at.Index, at.Seen, at.Text)
		}
		reached = append(reached, strings.TrimSpace(at.Text))
	}
	return reached
}

// In the page: what a tabulator reaches; where the focus is; what is cut off; what axe finds.
const (
	reachable = `Array.from(document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']"))` +
		`.filter((one) => one.checkVisibility() && !one.disabled)`
	focused = `(() => {
		const at = document.activeElement, style = getComputedStyle(at), box = at.getBoundingClientRect();
		return {
			Index: ` + reachable + `.indexOf(at), Text: at.getAttribute("aria-label") || at.innerText || at.name || at.tagName,
			Seen: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 && box.width > 0 && box.right > 0 && box.left < innerWidth && box.bottom > 0 && box.top < innerHeight,
		};
	})()`
	cutOff = `(() => {
		const name = (one) => one.tagName.toLowerCase() + "." + one.className + " " + (one.innerText || "").slice(0, 60);
		const found = [], width = document.documentElement.clientWidth;
		if (document.documentElement.scrollWidth > width) found.push("the page is " + document.documentElement.scrollWidth + " px wide");
		for (const one of document.querySelectorAll("body *")) {
			const style = getComputedStyle(one), box = one.getBoundingClientRect();
			if (style.clipPath !== "none" || !one.checkVisibility() || one.closest("caption, .skip, .hidden, thead")) continue;
			if (box.right > width + 1) found.push("beyond the edge: " + name(one));
			if (style.overflowX !== "visible" && one.scrollWidth > one.clientWidth + 1) found.push("cut off: " + name(one));
		}
		return found.slice(0, 5);
	})()`
	judge = `axe.run(document, {resultTypes: ["violations"]}).then((result) => result.violations
		.filter((one) => one.impact === "serious" || one.impact === "critical")
		.map((one) => one.id + ", " + one.help + ": " + one.nodes.slice(0, 3).map((node) => node.html.slice(0, 200) + " " + node.any.map((why) => why.message).join(" ")).join(" | ")))`
)
