package page

import (
	"net/http"
	"strconv"
	"time"

	"github.com/a-h/templ"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

// row is a sync in a list.
type row struct {
	ID                                           uint64
	Commit, Ref, Release, Subject, Author, State string
	Tone, Trigger, What, Waited, Took            string
	Good                                         bool
	Started                                      time.Time
}

// path is the path of the sync's page.
func (r row) path() string { return "/syncs/" + strconv.FormatUint(r.ID, 10) }

// filter is what a history is filtered by, and the link to its next page.
type filter struct {
	Failed          bool
	Service, Author string
	Next            string
}

const pageSyncs = 25

func (p *Pages) history(r *http.Request, at frame) (templ.Component, error) {
	values := r.URL.Query()
	values.Set("limit", strconv.Itoa(pageSyncs))
	values.Set(stackParameter, string(at.Stack))
	query, err := control.ReadQuery(values)
	if err != nil {
		return nil, err
	}
	page, err := p.API.History.Page(query)
	if err != nil {
		return nil, err
	}
	rows := make([]row, 0, len(page.Syncs))
	for i := range page.Syncs {
		rows = append(rows, rowOf(&page.Syncs[i]))
	}
	by := filter{Failed: query.Failed, Service: say(query.Service, shortText), Author: say(query.Author, shortText)}
	if page.Next != 0 {
		query.Before = page.Next
		by.Next = "/syncs?" + control.Values(query).Encode()
	}
	at.Title, at.Nav = "History", "/syncs"
	return historyPage(at, rows, by), nil
}

// texts are those that a row needs room for.
func (r row) texts() []string {
	return []string{r.Subject, r.Author, r.Ref, r.Release, r.What, r.Trigger}
}

func rowOf(sync *record.Sync) row {
	trigger := string(sync.Trigger)
	if sync.Actor.Person() {
		trigger += " by " + sync.Actor.String()
	}
	return row{
		ID: sync.ID, Commit: say(record.Short(sync.Commit), shortText), Ref: say(sync.Ref, shortText), Release: say(sync.Release, shortText),
		Subject: say(sync.Subject, shortText), Author: say(audit.AuthorName(sync.Author), shortText), State: report.StateWord(sync.State),
		Tone: toneOf(sync.State), Trigger: say(trigger, shortText), What: say(report.What(sync), midText),
		Waited: lasted(report.Waited(sync)), Took: lasted(report.Worked(sync)), Good: sync.Good, Started: sync.Started,
	}
}
