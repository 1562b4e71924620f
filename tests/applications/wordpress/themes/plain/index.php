<?php
// The page says which code runs, and what the plugins say.
bloginfo('name');
echo ': code VERSION', apply_filters('parts', '');
