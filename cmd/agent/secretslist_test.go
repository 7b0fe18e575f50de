package main

import (
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
)

// What is overdue is said where people look, with the command that helps.
func TestOverdueSecretsAreShown(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	created := time.Now().Add(-100 * day)
	var text strings.Builder
	p := newPrinter(&text)
	err := printPage(p, statusScreen, statusView{status: report.Status{Environment: "sandbox", Node: "node3", Running: true, InSync: true, Overdue: []inventory.Rotation{
		{Secret: "db_access", Name: "s_db_access.3", Created: created, Due: created.Add(90 * day)},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	err = printPage(p, secretsListScreen, &inventory.Survey{At: created.Add(100 * day), Secrets: []inventory.ListedSecret{
		{
			Secret: "db_access", Live: &deploy.Version{Name: "s_db_access.3", Created: created}, Due: created.Add(90 * day), Overdue: true,
			Others: []deploy.Version{{Name: "s_db_access.2", Created: created, Kept: []string{"last old version", "previous spec of s_web"}}, {Name: "s_db_access.1", Created: created}},
		},
		{Secret: "next", Live: &deploy.Version{Name: "s_next.1", Created: created, Uses: []deploy.Use{{Service: "s_web", Target: "/run/secrets/next"}}}, Due: created.Add(105 * day)},
		{Secret: "s_gone", Others: []deploy.Version{{Name: "s_gone.1", Created: created, Kept: []string{"unused for less than 14 days: 3 days left"}}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"in sync", "s_db_access.3 is 100d old and should have been rotated 10d ago", "hint: agent secrets rotate db_access --environment sandbox",
		"overdue by 10d  no service", "stays: last old version; previous spec of s_web", "will be removed at the next collection",
		"due in 5d       s_web /run/secrets/next", "s_gone     s_gone.1 ", "stays: unused for less than 14 days: 3 days left",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, text.String())
		}
	}
}
