from galago._core.markdown import plain


def test_a_name_cannot_break_a_table_or_start_markup():
    assert plain("a|b") == r"a\|b"
    assert plain("`rm` <b>*x*</b>") == r"\`rm\` \<b\>\*x\*\</b\>"
    assert plain("a\nb") == r"a\\x0ab"
    assert plain("[here](http://x)") == r"[here]\(http://x)"
    assert plain("_x_ &lt; $a$ ~b~") == r"\_x\_ \&lt; \$a\$ \~b\~"


def test_usual_names_and_settings_stay_as_they_are():
    for text in (
        "traffic light",
        "peak_learning_rate",
        "[352, 480]",
        "CC BY-NC 4.0 (a & b)",
        "Äpfel, 背景",
    ):
        assert plain(text) == text
