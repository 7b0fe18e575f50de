package page

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/visible"
)

// logLine is a line of a log.
type logLine struct {
	At                 time.Time
	Task, Stream, Text string
}

const (
	mostLog = 200
	logRoom = room(200_000)
)

// logsOf gives the path of a service's log.
func logsOf(service string) string { return "/services/" + url.PathEscape(service) + "/logs" }

// printed gives a line as a program has printed it, with its spaces, visible and cut.
func printed(line string) string {
	const most = 8 * longText
	line = strings.ReplaceAll(strings.TrimRight(line[:min(len(line), most)], "\r\n"), "\t", "    ")
	line = visible.Line(line)
	if runes := []rune(line); len(runes) > longText {
		line = string(runes[:longText-1]) + "…"
	}
	return line
}

func (p *Pages) logs(r *http.Request, at frame) (templ.Component, error) {
	values := r.URL.Query()
	from, err := p.API.Logs(at.Stack)
	if err != nil {
		return nil, err
	}
	name, failed := r.PathValue("name"), control.IsSet(values, "failed")
	var lines []deploy.LogLine
	err = from.Read(r.Context(), request.Logs{Service: name, Lines: mostLog, Failed: failed}, func(line deploy.LogLine) error {
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		return nil, err
	}
	var shown []logLine
	left := at.room.take(logRoom)
	for _, one := range slices.Backward(lines) { // the newest first: when there is no more room, the old ones are missing
		next := logLine{one.At, say(one.Task, shortText), say(one.Stream, shortText), printed(one.Text)}
		if left -= 200; !left.has(next.Text, next.Task) {
			break
		}
		shown = append(shown, next)
	}
	slices.Reverse(shown)
	at.Title, at.Nav = "Log of "+say(name, shortText), "/"
	return logsPage(at, say(name, shortText), shown, failed, len(lines)-len(shown)), nil
}
