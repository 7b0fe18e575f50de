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
	Approvers           []string            `yaml:"approvers" example:"[DevOps Lead, ada]" doc:"Who may approve: GitLab usernames, or names from approval.roles. Default: everyone except the author of the merge request."`
	Minimum             int                 `yaml:"minimum" min:"1" default:"1" doc:"How many approvers must approve."`
	Roles               map[string][]string `yaml:"roles" example:"{DevOps Lead: [bob, carol]}" doc:"The members of each role that approvers or board.members name, as GitLab usernames."`
	ChangeAdvisoryBoard bool                `yaml:"change_advisory_board" doc:"Whether the change advisory board must approve as well."`
	Board               Board               `yaml:"board" doc:"How the change advisory board approves."`
}

// Board is the section `approval.board`.
type Board struct {
	Label   string   `yaml:"label" example:"CAB approved" doc:"The label of the merge request that counts as the board's approval. Default when members is not set: CAB approved."`
	Members []string `yaml:"members" example:"[dan, eve]" doc:"Whose approval of the merge request counts as the board's: GitLab usernames, or names from approval.roles. One approval is enough."`
}

// boardLabel is the default of approval.board.label.
const boardLabel = "CAB approved"

// Approvals lists the approvals that a rollout waits for; each of them must be given.
func (c *Config) Approvals() []Approval {
	switch {
	case c.Declared != nil:
		return c.approvals
	case c.Approval.Required || c.Deployment.ApprovalRequired:
		return []Approval{c.Approval}
	}
	return nil
}

// Users lists who may approve, as usernames in lower case, and the names among the
// approvers that are neither a username nor a role.
func (a Approval) Users() (users, unknown []string) { return a.people(a.Approvers) }

// BoardUsers lists who may approve for the change advisory board, as Users does.
func (a Approval) BoardUsers() (users, unknown []string) { return a.people(a.Board.Members) }

// BoardLabel returns the label by which the change advisory board approves, or ""
// when only its members can approve.
func (a Approval) BoardLabel() string {
	if a.Board.Label == "" && len(a.Board.Members) == 0 {
		return boardLabel
	}
	return a.Board.Label
}

var username = regexp.MustCompile(`^@?[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

// people replaces each role by its members. Usernames in GitLab are case-insensitive.
func (a Approval) people(names []string) (users, unknown []string) {
	for _, name := range names {
		members, isRole := a.Roles[name]
		switch {
		case isRole:
			users = append(users, members...)
		case username.MatchString(name):
			users = append(users, name)
		default:
			unknown = append(unknown, name)
		}
	}
	for i, name := range users {
		users[i] = strings.ToLower(strings.TrimPrefix(name, "@"))
	}
	slices.Sort(users)
	return slices.Compact(users), unknown
}

func (v *validator) validateApproval() {
	approval := v.config.Approval
	v.unique("approval.approvers[]", approval.Approvers)
	v.unique("approval.board.members[]", approval.Board.Members)
	for _, role := range slices.Sorted(maps.Keys(approval.Roles)) {
		key := "approval.roles." + role
		if !slices.Contains(approval.Approvers, role) && !slices.Contains(approval.Board.Members, role) {
			v.add(key, "add the role to approvers or board.members, or remove it", "the role %q is not used in approvers or board.members", role)
		}
		for _, member := range approval.Roles[role] {
			if !username.MatchString(member) {
				v.add(key, "write GitLab usernames, such as ada", "%s: %q is not a username", key, member)
			}
		}
	}
	users, unknown := approval.Users()
	if len(approval.Approvers) > 0 && len(unknown) == 0 && len(users) < approval.Minimum {
		v.add("approval.minimum", "lower it, or add approvers", "approval.minimum is %d, but there are %d approvers", approval.Minimum, len(users))
	}
	if v.config.set("approval.board") && !approval.ChangeAdvisoryBoard {
		v.add("approval.board", "add change_advisory_board: true, or remove board", "approval.board is set, but change_advisory_board is not true")
	}
}
