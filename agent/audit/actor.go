package audit

import "strings"

// By is the kind of an actor.
type By string

// The kinds of actors.
const (
	ByAuthor By = "author" // author of the synced commit
	ByUser   By = "user"   // user of this machine
	ByAgent  By = "agent"  // the agent itself
	ByToken  By = "token"  // who has a token of the agent's API
)

// Marks before the names of people say who vouches for the name. The author of a commit is
// what the commit says: a commit by "root" is not by this machine's root.
const (
	localMark  = "local:"  // the kernel, for a user of this machine
	gitMark    = "git:"    // the author of the commit, who is not checked
	gitLabMark = "gitlab:" // GitLab, for one of its users
	tokenMark  = "token:"  // the agent's settings, for who has one of the API's tokens
)

// marked returns the name with its mark. Records of older agents have names without one.
func marked(mark, name string) string {
	if name == "" || strings.HasPrefix(name, mark) {
		return name
	}
	return mark + name
}

// Actor is the one who caused an action.
type Actor struct {
	By    By     `json:"by"`
	Name  string `json:"name,omitempty"`  // local:NAME, local:UID without a name, git:NAME <mail>, or token:NAME
	UID   string `json:"uid,omitempty"`   // only for users
	Login string `json:"login,omitempty"` // the login user, if sudo or su changed it
}

// Agent returns the actor of automatic actions.
func Agent() Actor { return Actor{By: ByAgent} }

// Author returns the actor for the author of a commit, "Name <email>".
func Author(name string) Actor { return Actor{By: ByAuthor, Name: AuthorName(name)} }

// AuthorName marks a commit's author, "Name <email>", for display.
func AuthorName(name string) string {
	if name == "" {
		return ""
	}
	return gitMark + name
}

// LocalName marks the name of a user of this machine for display.
func LocalName(name string) string { return marked(localMark, name) }

// NodeName marks the name of who acted on the node, for display: a user of this machine, or
// who has a token of the API, whose name has its mark.
func NodeName(name string) string {
	if strings.HasPrefix(name, tokenMark) {
		return name
	}
	return LocalName(name)
}

// GitLabName marks the name of a GitLab user for display.
func GitLabName(name string) string { return marked(gitLabMark, name) }

// Person reports whether a user asked for the action.
func (a Actor) Person() bool { return a.By == ByUser || a.By == ByToken }

// Token returns the actor who has the API's token of a name.
func Token(name string) Actor { return Actor{By: ByToken, Name: marked(tokenMark, name)} }

// String returns the actor's name for display.
func (a Actor) String() string {
	switch {
	case a.By == ByAgent || a.By == "":
		return "agent"
	case a.By == ByAuthor:
		return marked(gitMark, a.Name)
	case a.By == ByToken:
		return marked(tokenMark, a.Name)
	case a.Login != "":
		return LocalName(a.Name) + " (" + a.Login + ")"
	}
	return LocalName(a.Name)
}
