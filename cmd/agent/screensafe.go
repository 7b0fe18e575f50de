package main

import (
	"fmt"
	"reflect"
	"text/template"
	"text/template/parse"

	"coin.internal/coin-agent/internal/visible"
)

// markup is a text that is safe to print: the control characters in it are the agent's own
// line breaks, tabs of tables and colours.
type markup string

// shown gives a value as a screen prints it: markup as it is, in any other text what
// controls a terminal is visible.
func shown(value any) markup {
	if safe, ok := value.(markup); ok {
		return safe
	}
	switch value.(type) {
	case error, fmt.Stringer:
	default:
		if pointer := reflect.ValueOf(value); pointer.Kind() == reflect.Pointer && !pointer.IsNil() {
			value = pointer.Elem().Interface()
		}
	}
	return markup(visible.Line(fmt.Sprint(value)))
}

// guard makes each action of the templates print its value through shown, as html/template
// does it with its escapers: no line of a screen can forget it.
func guard(all *template.Template) *template.Template {
	for _, one := range all.Templates() {
		if one.Tree != nil {
			guardList(one.Root)
		}
	}
	return all
}

func guardList(list *parse.ListNode) {
	if list == nil {
		return
	}
	for _, node := range list.Nodes {
		switch n := node.(type) {
		case *parse.ActionNode:
			if len(n.Pipe.Decl) == 0 { // an assignment prints nothing
				name := parse.NewIdentifier("shown").SetPos(n.Pos)
				n.Pipe.Cmds = append(n.Pipe.Cmds, &parse.CommandNode{NodeType: parse.NodeCommand, Pos: n.Pos, Args: []parse.Node{name}})
			}
		case *parse.IfNode:
			guardList(n.List)
			guardList(n.ElseList)
		case *parse.RangeNode:
			guardList(n.List)
			guardList(n.ElseList)
		case *parse.WithNode:
			guardList(n.List)
			guardList(n.ElseList)
		}
	}
}
