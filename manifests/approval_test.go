package manifests_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestApprovers(t *testing.T) {
	config, err := loadConfig("sandbox", twoNodes+`approval:
  required: true
  approvers: [Ada, "@bob", DevOps Lead, CTO]
  roles: {DevOps Lead: [carol, ada]}
  change_advisory_board: true
`)
	if err != nil {
		t.Fatal(err)
	}
	users, unknown := config.Approval.Users()
	if diff := cmp.Diff([][]string{{"ada", "bob", "carol", "cto"}, nil}, [][]string{users, unknown}); diff != "" {
		t.Error(diff)
	}
	if config.Approval.BoardLabel() != "CAB approved" {
		t.Errorf("label %q", config.Approval.BoardLabel())
	}
	_, err = loadConfig("sandbox", twoNodes+`approval:
  required: true
  approvers: [DevOps Lead]
  change_advisory_board: true
  board: {members: [Board], label: ""}
`)
	if err == nil {
		t.Error("an empty label is accepted")
	}
	config, err = loadConfig("sandbox", twoNodes+`approval:
  approvers: [DevOps Lead]
  change_advisory_board: true
  board: {members: [the board], }
  roles: {the board: [dan]}
`)
	if err != nil {
		t.Fatal(err)
	}
	users, _ = config.Approval.BoardUsers()
	_, unknown = config.Approval.Users()
	if diff := cmp.Diff([][]string{{"dan"}, {"DevOps Lead"}}, [][]string{users, unknown}); diff != "" {
		t.Error(diff)
	}
	if config.Approval.BoardLabel() != "" {
		t.Errorf("with members the label %q counts as well", config.Approval.BoardLabel())
	}
}

func TestApprovalIsRefused(t *testing.T) {
	for keys, want := range map[string]string{
		`{approvers: [ada, ada]}`:                     "twice",
		`{approvers: [ada, Ada], minimum: 2}`:         "there are 1 approvers",
		`{approvers: [ada], minimum: 0}`:              "at least 1",
		`{approvers: [ada], roles: {Lead: [bob]}}`:    `the role "Lead" is not used`,
		`{approvers: [Lead], roles: {Lead: [b b]}}`:   `"b b" is not a username`,
		`{approvers: [ada], board: {members: [bob]}}`: "change_advisory_board is not true",
	} {
		_, err := loadConfig("sandbox", twoNodes+"approval: "+keys+"\n")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "config.yml:3") {
			t.Errorf("%s: got %v, want %q and the line", keys, err, want)
		}
	}
}
