package page

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/agent/report"
)

const (
	pageServices = 100 // on one page
	servicesRoom = room(140_000)
)

// services is a page of the services, those with trouble first.
type services struct {
	List     []service
	All      int
	From     int // the first one, counted from 1
	To       int
	Back, On templ.SafeURL // the links to the pages before and after
}

// service is a row of the services.
type service struct {
	Name, Image, Tasks, State, Tone, Error string
	Restarts                               int
	Since                                  time.Time // when it stopped being healthy
}

func servicesOf(s *report.Status, at frame, from int) services {
	troubled := map[string]health.Service{}
	if s.Health != nil {
		for _, one := range s.Health.Services {
			troubled[one.Name] = one
		}
	}
	all := make([]service, 0, len(s.Services))
	add := func(one service, state report.HeadlineState) {
		one.Tone = tone(state)
		all = append(all, one)
	}
	for _, live := range s.Services {
		text, state := report.ServiceState(live, report.DriftOf(s, live.Name))
		one := service{
			Name: say(strings.TrimPrefix(live.Name, s.Stack+"_"), shortText), Image: say(path.Base(live.Image), shortText), State: say(text, midText),
			Tasks: strconv.FormatUint(live.Running, 10) + "/" + strconv.FormatUint(live.Desired, 10),
		}
		if bad, found := troubled[live.Name]; found {
			one.Restarts, one.Error, one.Since = bad.Restarts, say(bad.Error, midText), bad.Since
			if state == report.AllWell {
				one.State, state = string(bad.State), report.Alarm
			}
		}
		add(one, state)
	}
	for _, step := range report.Unlisted(s) {
		add(service{Name: say(strings.TrimPrefix(step.Name, s.Stack+"_"), shortText), State: say("drifted: "+report.DriftOf(s, step.Name), midText)}, report.Attention)
	}
	rank := map[string]int{"alarm": 0, "attention": 1, "well": 2}
	slices.SortStableFunc(all, func(a, b service) int { return rank[a.Tone] - rank[b.Tone] })
	if from < 0 || from >= len(all) {
		from = 0
	}
	to, left := from, servicesRoom
	for to < min(from+pageServices, len(all)) && left.has(all[to].Name, all[to].Name, all[to].Name, all[to].Image, all[to].State, all[to].Error) {
		left -= 700
		to++
	}
	shown := services{List: all[from:to], All: len(all), From: from + 1, To: to}
	if from > 0 {
		shown.Back = at.to("/", "from", strconv.Itoa(max(0, from-pageServices))) + "#services"
	}
	if to < len(all) {
		shown.On = at.to("/", "from", strconv.Itoa(to)) + "#services"
	}
	return shown
}
