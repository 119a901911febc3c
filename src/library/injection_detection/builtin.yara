rule sql_injection
{
    strings:
        $word_1 = "SELECT" nocase
        $word_2 = "ALTER" nocase
        $word_3 = "ADD" nocase
        $word_4 = "CREATE" nocase
        $word_5 = "DROP" nocase
        $word_6 = "EXEC" nocase
        $word_7 = "UNION" nocase
        $word_8 = "INSERT" nocase
        $word_9 = "UPSERT" nocase
        $word_10 = "DELETE" nocase
        $word_11 = "TRUNCATE" nocase
        $sign_line_comment = /--[^\r\n]/
        $sign_last_comment = /\/\*[^\r\n\*\/]+$/
        $sign_semicolon = /;[^\r\n]/
        $sign_char = /cha?r\(\d+\)/ nocase
        $sign_catalog = /(SELECT|FROM)\s*pg_\w/ nocase
        $sign_open_quote = /^[^']*('[^']*'[^']*)*'[^']+$/
    condition:
        any of ($word_*) and any of ($sign_*)
}

rule jinja_injection
{
    strings:
        $open = "{{"
        $close = "}}"
        $open_statement = "{%"
        $close_statement = "%}"
    condition:
        @open < @close or @open_statement < @close_statement
}

rule import_shells
{
    strings:
        $from = "from"
        $import = "import"
        $module_1 = "os"
        $module_2 = "cmd"
        $module_3 = "subprocess"
        $module_4 = "shutil"
    condition:
        for any of ($module_*) : (@import < @)
        or (for any of ($module_*) : (@from < @) and for any of ($module_*) : (@ < @import))
}

rule import_networking
{
    strings:
        $from = "from"
        $import = "import"
        $module_1 = "socket"
        $module_2 = "asyncio"
        $module_3 = "http"
        $module_4 = "bs4"
        $module_5 = "requests"
        $module_6 = "mechanize"
        $module_7 = "urllib"
        $module_8 = "asyncssh"
    condition:
        for any of ($module_*) : (@import < @)
        or (for any of ($module_*) : (@from < @) and for any of ($module_*) : (@ < @import))
}

rule markdown_xss
{
    strings:
        $href = "href"
        $javascript = "javascript"
        $sign_script = /<script>[^\n]+<\/script>/ nocase
        $sign_image = /!\[[^\n]+\]\([^\n]+\)/
        $sign_link = /\[[^\n]+\]\(javascript[\^n]+\)/
    condition:
        any of ($sign_*) or @href < @javascript
}
