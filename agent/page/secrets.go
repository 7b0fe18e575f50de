package page

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/deploy"
)

// version is one version of a secret.
type version struct {
	Secret, Name, Due, Why, Tone string // Secret is empty for further versions of the one before
	Created                      time.Time
	Live                         bool
}

const mostVersions = 150

func (p *Pages) secrets(r *http.Request, at frame) (templ.Component, error) {
	desk, err := p.desk(at)
	if err != nil {
		return nil, err
	}
	survey, err := desk.Survey(r.Context())
	if err != nil {
		return nil, err
	}
	list := versionsOf(survey)
	hidden := max(0, len(list)-mostVersions)
	at.Title, at.Nav = "Secrets", "/secrets"
	return secretsPage(at, list[:len(list)-hidden], hidden), nil
}

// versionsOf lists the versions, the overdue secrets first.
func versionsOf(survey *inventory.Survey) []version {
	var overdue, others []version
	for _, secret := range survey.Secrets {
		var list []version
		add := func(of deploy.Version, live bool) {
			one := version{Name: say(of.Name, shortText), Created: of.Created, Live: live, Tone: "quiet", Why: say(strings.Join(of.Kept, ", "), midText)}
			if live {
				one.Why, one.Tone, one.Due = say(usersOf(of), midText), "well", dueOf(secret, survey.At)
				if secret.Overdue {
					one.Tone = "alarm"
				}
			}
			if len(list) == 0 {
				one.Secret = say(secret.Secret, shortText)
			}
			list = append(list, one)
		}
		if secret.Live != nil {
			add(*secret.Live, true)
		}
		for _, other := range secret.Others {
			add(other, false)
		}
		if secret.Overdue {
			overdue = append(overdue, list...)
		} else {
			others = append(others, list...)
		}
	}
	return append(overdue, others...)
}

// dueOf says when a secret is to be rotated, and which newer version Vault has.
func dueOf(secret inventory.ListedSecret, now time.Time) string {
	due := ""
	switch {
	case secret.Overdue:
		due = "overdue by " + age(secret.Due, now)
	case !secret.Due.IsZero():
		due = "due in " + age(now, secret.Due)
	}
	if newer := secret.Vault.Newer(); newer != "" {
		due = strings.TrimPrefix(due+" · "+newer, " · ")
	}
	return due
}

func usersOf(of deploy.Version) string {
	var names []string
	for i, use := range of.Uses {
		if i == 5 {
			names = append(names, strconv.Itoa(len(of.Uses)-5)+" more")
			break
		}
		names = append(names, use.Service)
	}
	return strings.Join(names, ", ")
}
