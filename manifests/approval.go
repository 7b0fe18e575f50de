package manifests

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Approval is the section `approval`.
type Approval struct {
	Required            bool                `yaml:"required" doc:"Whether a rollout waits for approval."`
	Approvers           []string            `yaml:"approvers" doc:"Who may approve: usernames in GitLab, or names of approval.roles. Without them, everybody but the author of the merge request."`
	Minimum             int                 `yaml:"minimum" min:"1" default:"1" doc:"How many of the approvers have to approve."`
	Roles               map[string][]string `yaml:"roles" doc:"Who has a role that approvers or board.members name, as usernames in GitLab."`
	ChangeAdvisoryBoard bool                `yaml:"change_advisory_board" doc:"Whether the change advisory board has to agree as well."`
	Board               Board               `yaml:"board" doc:"How the change advisory board agrees."`
}

// Board is the section `approval.board`.
type Board struct {
	Label   string   `yaml:"label" doc:"The label of the merge request that says so. Without it and without members: CAB approved."`
	Members []string `yaml:"members" doc:"Who may say so by an approval of the merge request: usernames in GitLab, or names of approval.roles. One is enough."`
}

// boardLabel is the board's word where config.yml names no other.
const boardLabel = "CAB approved"

// ApprovalRequired says whether a rollout waits for approval.
func (c *Config) ApprovalRequired() bool {
	return c.Approval.Required || c.Deployment.ApprovalRequired
}

// Approvers lists who may approve, as usernames in small letters; and the names
// among the approvers that are neither a username nor a role.
func (c *Config) Approvers() (users, unknown []string) { return c.people(c.Approval.Approvers) }

// BoardMembers lists who may approve for the change advisory board, likewise.
func (c *Config) BoardMembers() (users, unknown []string) { return c.people(c.Approval.Board.Members) }

// BoardLabel is the label by which the change advisory board agrees; "" where only
// its members can.
func (c *Config) BoardLabel() string {
	if c.Approval.Board.Label == "" && len(c.Approval.Board.Members) == 0 {
		return boardLabel
	}
	return c.Approval.Board.Label
}

var username = regexp.MustCompile(`^@?[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

// people puts the members of a role in its place. GitLab tells usernames apart
// without regard to case.
func (c *Config) people(names []string) (users, unknown []string) {
	add := func(name string) { users = append(users, strings.ToLower(strings.TrimPrefix(name, "@"))) }
	for _, name := range names {
		members, isRole := c.Approval.Roles[name]
		switch {
		case isRole:
			for _, member := range members {
				add(member)
			}
		case username.MatchString(name):
			add(name)
		default:
			unknown = append(unknown, name)
		}
	}
	slices.Sort(users)
	return slices.Compact(users), unknown
}

func (c *Config) validateApproval(found *faults) {
	approval := c.Approval
	c.unique(found, "approval.approvers", approval.Approvers)
	c.unique(found, "approval.board.members", approval.Board.Members)
	for _, role := range slices.Sorted(maps.Keys(approval.Roles)) {
		key := "approval.roles." + role
		if !slices.Contains(approval.Approvers, role) && !slices.Contains(approval.Board.Members, role) {
			found.add(c.Place(key), "name it there, or remove it", "approval.roles has %q, which neither approvers nor board.members name", role)
		}
		for _, member := range approval.Roles[role] {
			if !username.MatchString(member) {
				found.add(c.Place(key), "write usernames in GitLab, such as ada", "%s: %q is no username", key, member)
			}
		}
	}
	users, unknown := c.Approvers()
	if len(approval.Approvers) > 0 && len(unknown) == 0 && len(users) < approval.Minimum {
		found.add(c.Place("approval.minimum"), "lower it, or name more approvers", "approval.minimum is %d, but there are %d approvers", approval.Minimum, len(users))
	}
	if _, set := c.places["approval.board"]; set && !approval.ChangeAdvisoryBoard {
		found.add(c.Place("approval.board"), "add change_advisory_board: true, or remove board", "approval.board is given, but change_advisory_board is not true")
	}
}
