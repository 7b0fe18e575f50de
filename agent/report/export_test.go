package report

// Plain and Cell are what the rollback report makes of a text, and of one in a table.
func Plain(text string) string { return escape(text) }

// Cell is Plain for a cell of a table.
func Cell(text string) string { return cell(text) }

// Code is a code block of lines.
func Code(lines ...string) string { return code(lines) }
